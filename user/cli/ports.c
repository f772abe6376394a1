/* SPDX-License-Identifier: GPL-2.0 */
/* Ports as they stand on the command line, for add.c and del.c. */
#include <errno.h>
#include <string.h>

#include "ports.h"
#include "units.h"

int port_parse(const char *text, uint16_t *port)
{
	uint64_t number;

	if (number_parse(text, 1, UINT16_MAX, &number))
		return -EINVAL;
	*port = (uint16_t)number;
	return 0;
}

int ports_parse(const char *text, uint16_t *service_port, uint16_t *trunk_port)
{
	char service[sizeof("65535")];
	const char *colon = strchrnul(text, ':');
	size_t len = (size_t)(colon - text);

	if (len >= sizeof(service))
		return -EINVAL;
	memcpy(service, text, len);
	service[len] = '\0';
	if (port_parse(service, service_port))
		return -EINVAL;
	*trunk_port = *service_port;
	return *colon ? port_parse(colon + 1, trunk_port) : 0;
}
