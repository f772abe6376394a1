// SPDX-License-Identifier: GPL-2.0
/* Making a relay process: its listeners, ring buffer and channel, and the fork. */
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "relay_flow.h"
#include "supervisor_private.h"

/* Longest queue of connections to be accepted; the kernel takes the smaller of
 * this and net.core.somaxconn. */
#define LISTEN_BACKLOG 65535

/*
 * A listener for LAN legs. It is bound to loopback, where no stranger reaches
 * it from outside; the intercept program hands it SYNs for any address, which
 * IP_TRANSPARENT lets it answer.
 */
static int open_listener(int family)
{
	struct sockaddr_in ipv4 = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, mark = (int)MARK_LAN_LEG, result;

	if (fd < 0)
		return -errno;
	result = leg_set_options(fd);
	/* LAN legs inherit all of it; of the mark, see bpf/reply.bpf.h. */
	if (!result && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		result = -errno;
	/* They hold the served port as well: a service of the gateway's
	 * own must be able to bind there all the same, be it after a restart. */
	if (!result && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		result = -errno;
	if (!result && family == AF_INET &&
	    (setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on)) < 0 ||
	     bind(fd, (struct sockaddr *)&ipv4, sizeof(ipv4)) < 0))
		result = -errno;
	if (!result && family == AF_INET6 &&
	    (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0 ||
	     setsockopt(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, &on, sizeof(on)) < 0 ||
	     bind(fd, (struct sockaddr *)&ipv6, sizeof(ipv6)) < 0))
		result = -errno;
	if (!result && listen(fd, LISTEN_BACKLOG) < 0)
		result = -errno;
	if (!result)
		return fd;
	close(fd);
	return result;
}

/* Opens both listeners and enters them where BPF finds them. A kernel without
 * IPv6 has one. */
static int open_listeners(const struct relay_process *relay, int listeners[2])
{
	int map = intercept_maps(relay->supervisor->options.intercept).listeners;

	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		uint32_t key = LISTENER_INDEX(relay->index, is_ipv6);
		uint64_t value;
		int fd = open_listener(is_ipv6 ? AF_INET6 : AF_INET);

		if (is_ipv6 && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL))
			continue;
		if (fd < 0)
			return fd;
		listeners[is_ipv6] = fd;
		value = (uint64_t)fd;
		if (bpf_map_update_elem(map, &key, &value, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

static _Noreturn void run_child(const struct gateway_relay_setup *setup)
{
	const struct splice_maps *splice = &setup->splice_maps;
	int keep[] = { setup->listeners[0], setup->listeners[1],  setup->channel,
		       setup->ring_map,	    setup->half_open_map, setup->param_map,
		       setup->socket_map,   splice->sockets,	  splice->legs,
		       splice->directions,  splice->events,	  setup->nexthop_map };
	char name[32];

	snprintf(name, sizeof(name), "sluiced relay %u", setup->index);
	child_begin(keep, sizeof(keep) / sizeof(keep[0]), name);
	_exit(gateway_relay_run(setup));
}

static void close_setup(struct gateway_relay_setup *setup, int main_channel)
{
	for (int i = 0; i < 2; i++)
		if (setup->listeners[i] >= 0)
			close(setup->listeners[i]);
	if (setup->channel >= 0)
		close(setup->channel);
	if (setup->ring_map >= 0)
		close(setup->ring_map);
	splice_maps_close(&setup->splice_maps);
	if (main_channel >= 0)
		close(main_channel);
}

int relay_spawn(struct relay_process *relay)
{
	struct supervisor_options *options = &relay->supervisor->options;
	struct intercept_maps maps = intercept_maps(options->intercept);
	struct gateway_relay_setup setup = {
		.index = relay->index,
		.main_pid = getpid(),
		.listeners = { -1, -1 },
		.channel = -1,
		.ring_map = -1,
		.half_open_map = maps.half_open,
		.nexthop_map = maps.nexthop_flows,
		.param_map = maps.param_table,
		.socket_map = options->socket_map,
		.splice_maps = SPLICE_MAPS_NONE,
		.engine = options->engine,
		.half_open_by_client = intercept_half_open_by_client(options->intercept),
		.state = &intercept_relay_states(options->intercept)[relay->index],
		.shared = relay->shared,
		.port_stats = relay->port_stats,
		.ended = relay->ended,
		.user = options->user,
	};
	int channel[2] = { -1, -1 }, result;
	pid_t pid;

	result = open_listeners(relay, setup.listeners);
	if (result)
		goto failed;
	setup.ring_map = intercept_new_ring(options->intercept, relay->index);
	if (setup.ring_map < 0) {
		result = setup.ring_map;
		goto failed;
	}
	if (options->kernel_flows) {
		result = splice_program_load(options->kernel_flows, &setup.splice_maps);
		if (result)
			goto failed;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0) {
		result = -errno;
		goto failed;
	}
	setup.channel = channel[1];
	pid = fork();
	if (pid < 0) {
		result = -errno;
		goto failed;
	}
	if (pid == 0)
		run_child(&setup);
	close_setup(&setup, -1);
	intercept_watch_relay(options->intercept, pid);
	relay->pid = pid;
	relay->channel = channel[0];
	return 0;
failed:
	close_setup(&setup, channel[0]);
	return result;
}
