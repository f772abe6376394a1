/* SPDX-License-Identifier: GPL-2.0 */
/* Ports as they stand on the command line. */
#ifndef SLUICE_PORTS_H
#define SLUICE_PORTS_H

#include <stdint.h>

/* "PORT": 0, or -EINVAL. */
int port_parse(const char *text, uint16_t *port);

/* "SERVICE[:TRUNK]", the trunk port being the service port unless given: 0, or -EINVAL. */
int ports_parse(const char *text, uint16_t *service_port, uint16_t *trunk_port);

#endif
