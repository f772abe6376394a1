// SPDX-License-Identifier: GPL-2.0
/* See wan_options.h. */
#include "wan_options.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "socket_option.h"
#include "wan_tuning.h"

/* [980] The window scale is fixed by the buffer at the time of the SYN, so the
 * buffers come before connect(). The kernel doubles what it is given and
 * offers half of it as the window. */
static int set_window(int fd, const struct wan_params *params)
{
	uint32_t window = wan_window(params);
	int result;

	if (window == 0)
		return 0;
	result = socket_set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, (int)window);
	return result ?: socket_set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)window);
}

/* [983] */
static int set_qos(int fd, int family, const struct wan_params *params)
{
	uint64_t bytes_per_second = wan_pacing(params);
	uint8_t tos = wan_tos(params), priority = wan_priority(params);
	int result = 0;

	/* What an MPTCP socket refuses here its connections get from tune.bpf.c. */
	if (bytes_per_second &&
	    setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &bytes_per_second,
		       sizeof(bytes_per_second)) < 0 &&
	    errno != EOPNOTSUPP)
		return -errno;
	if (tos && family == AF_INET)
		result = socket_try_int(fd, IPPROTO_IP, IP_TOS, tos);
	else if (tos)
		result = socket_try_int(fd, IPPROTO_IPV6, IPV6_TCLASS, tos);
	if (priority)
		result = result ?: socket_set_int(fd, SOL_SOCKET, SO_PRIORITY, priority);
	return result;
}

/* [984] */
int wan_set_flow_control(int fd, const struct wan_params *params)
{
	const char *name = wan_flow_control(params);

	if (name[0] == '\0')
		return 0;
	if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name,
		       (socklen_t)strnlen(name, SLUICE_CC_NAME_MAX)) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	/* It was there when the port was registered: linkrate, and the process that
	 * had registered it is gone, a moment before main does. The kernel's default
	 * with the same pacing is better than no WAN leg. */
	log_info("flow-control %s is not to be had right now", name);
	return 0;
}

int wan_set_options(int fd, int family, const struct wan_params *params)
{
	int result = set_window(fd, params);

	result = result ?: set_qos(fd, family, params);
	return result ?: wan_set_flow_control(fd, params);
}
