// SPDX-License-Identifier: GPL-2.0
/* See trunk_end.h. */
#include "trunk_end.h"

#include <errno.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "array.h"
#include "child.h"
#include "kernel_engine.h"
#include "kernel_engine_test.h"
#include "log.h"
#include "mptcp.h"
#include "relay_flow.h"
#include "socket_option.h"
#include "tls_memory.h"
#include "trunk_relay.h"
#include "wan_options.h"
#include "wan_tuning.h"

/* Longest queue of connections to be accepted; the kernel takes the smaller of
 * this and net.core.somaxconn. */
#define LISTEN_BACKLOG 65535

/* Flows of one trunk that the kernel carries at most; more run by the splice engine. */
#define KERNEL_FLOWS 16384

/* How long a process that was told to stop may take. */
#define STOP_US 1000000ULL

struct trunk_end {
	struct trunk_ends *ends;
	struct trunk_relay_setup setup; /* what points somewhere points into here */
	uint16_t trunk_port;
	struct wan_params params;
	uint8_t (*addresses)[16]; /* owned */
	int *listeners; /* owned; by address; -1: closed */
	pid_t pid; /* 0: not running */
	int channel; /* to it, or -1 */
	struct child_restarts restarts;
	sd_event_source *child;
	sd_event_source *restart;
	bool draining;
	bool wanted; /* by the configuration that is being applied */
};

/* ---- listeners ---- */

/* Accepted sockets inherit the parameters; MPTCP connections that join later would
 * lose what was set on the first alone. */
static int set_options(int fd, int family, const struct wan_params *params)
{
	int result = leg_set_options(fd);

	/* What a process without privilege could not do. */
	if (params->engine == ENGINE_KERNEL && wan_window(params) == 0)
		result = result
				 ?: socket_set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE,
						   KERNEL_BUDGET_DEFAULT);
	return result ?: wan_set_options(fd, family, params);
}

/*
 * A listener that runs with these parameters. Beside one of ours that has others
 * (known; -1: none): what was set on a socket cannot all be unset, so this one takes
 * its place. Otherwise nobody else may have the port.
 */
static int open_listener(const uint8_t address[16], uint16_t port, const struct wan_params *params,
			 int known)
{
	struct sockaddr_storage where;
	socklen_t length = endpoint_to_sockaddr(address, port, &where);
	int protocol = mptcp_is_available() ? IPPROTO_MPTCP : IPPROTO_TCP;
	int fd = socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	int result;

	if (fd < 0)
		return -errno;
	result = set_options(fd, where.ss_family, params);
	result = result ?: socket_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (known >= 0) {
		result = result ?: socket_set_int(known, SOL_SOCKET, SO_REUSEPORT, 1);
		result = result ?: socket_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	}
	if (!result &&
	    (bind(fd, (struct sockaddr *)&where, length) < 0 || listen(fd, LISTEN_BACKLOG) < 0))
		result = -errno;
	if (!result)
		return fd;
	close(fd);
	return result;
}

static int find_listener(const struct trunk_ends *ends, const uint8_t address[16], uint16_t port)
{
	for (size_t i = 0; i < ends->count; i++) {
		const struct trunk_end *end = ends->ends[i];

		if (!end || end->draining || end->trunk_port != port)
			continue;
		for (size_t j = 0; j < end->setup.count; j++)
			if (memcmp(end->addresses[j], address, 16) == 0)
				return end->listeners[j];
	}
	return -1;
}

static int open_listeners(const struct trunk_ends *ends, struct trunk_end *end, char *error)
{
	for (size_t i = 0; i < end->setup.count; i++) {
		int known = find_listener(ends, end->addresses[i], end->trunk_port);
		int fd = open_listener(end->addresses[i], end->trunk_port, &end->params, known);
		char endpoint[ENDPOINT_TEXT_MAX];

		if (fd >= 0) {
			end->listeners[i] = fd;
			continue;
		}
		snprintf(error, TRUNK_END_ERROR_MAX,
			 "trunk of service %u: cannot listen on %s: %s%s", end->setup.service_port,
			 endpoint_format(end->addresses[i], end->trunk_port, endpoint),
			 strerror(-fd),
			 fd == -EADDRINUSE ? ": another program does; the agent ends this trunk, "
					     "name a port that is free"
			 : fd == -EADDRNOTAVAIL ? ": an agent can end trunks only on addresses of "
						  "its own host"
						: "");
		return fd;
	}
	return 0;
}

static void close_listeners(struct trunk_end *end)
{
	for (size_t i = 0; i < end->setup.count; i++) {
		if (end->listeners[i] >= 0)
			close(end->listeners[i]);
		end->listeners[i] = -1;
	}
}

/* ---- the process ---- */

static int start_process(struct trunk_end *end);

static int on_restart(sd_event_source *source, uint64_t us, void *context)
{
	struct trunk_end *end = context;

	(void)us;
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	end->restarts.count++;
	return start_process(end);
}

static void restart_later(struct trunk_end *end)
{
	uint64_t delay_us = child_restart_delay(&end->restarts);

	end->restart = sd_event_source_disable_unref(end->restart);
	if (sd_event_add_time_relative(end->ends->event, &end->restart, CLOCK_MONOTONIC, delay_us,
				       0, on_restart, end) < 0)
		log_error("trunk of service %u is not restarted: out of memory",
			  end->setup.service_port);
}

static int on_death(sd_event_source *source, const siginfo_t *info, void *context)
{
	struct trunk_end *end = context;
	char what[48];

	(void)source;
	snprintf(what, sizeof(what), "trunk end of service %u", end->setup.service_port);
	if (!end->draining)
		child_log_death(what, end->pid, info, "its flows are reset");
	end->pid = 0;
	close(end->channel);
	end->channel = -1;
	if (!end->draining)
		restart_later(end);
	else
		end->ends->idle(end->ends->context);
	return 0;
}

/* Once: what the kernel does not pass is done by the splice engine. */
static bool kernel_engine_works(struct trunk_ends *ends)
{
	char why[KERNEL_ENGINE_TEST_TEXT_MAX];

	if (ends->kernel_engine == KERNEL_ENGINE_UNTRIED) {
		ends->kernel_engine = kernel_engine_test(why) ? KERNEL_ENGINE_FAILED
							      : KERNEL_ENGINE_WORKS;
		if (ends->kernel_engine == KERNEL_ENGINE_FAILED)
			log_warning("the kernel engine is not used: %s", why);
	}
	return ends->kernel_engine == KERNEL_ENGINE_WORKS;
}

/* The kernel carries no MPTCP; flows of one connection it does. */
static void load_splice(struct trunk_end *end)
{
	int result;

	end->setup.splice_maps = SPLICE_MAPS_NONE;
	if (end->params.engine == ENGINE_SPLICE || end->params.parallel > 1 ||
	    !kernel_engine_works(end->ends))
		return;
	result = splice_program_load(KERNEL_FLOWS, &end->setup.splice_maps);
	if (result)
		log_warning("trunk of service %u: the kernel engine is not used: %s",
			    end->setup.service_port, strerror(-result));
}

static _Noreturn void run_child(const struct trunk_end *end)
{
	const struct splice_maps *splice = &end->setup.splice_maps;
	const int own[] = { end->setup.channel, splice->sockets, splice->legs, splice->directions,
			    splice->events };
	size_t count = end->setup.count;
	int *keep = malloc(count * sizeof(*keep) + sizeof(own));
	char name[48];

	tls_memory_wipe();
	if (!keep)
		_exit(EXIT_FAILURE);
	memcpy(keep, end->listeners, count * sizeof(*keep));
	memcpy(keep + count, own, sizeof(own));
	snprintf(name, sizeof(name), "sluice-agent trunk %u", end->trunk_port);
	child_begin(keep, count + sizeof(own) / sizeof(own[0]), name);
	_exit(trunk_relay_run(&end->setup));
}

/* A failure is logged and tried again; meanwhile connections wait at the listener,
 * as long as their gateways have patience. Always 0. */
static int start_process(struct trunk_end *end)
{
	int channel[2], result = 0;

	end->restarts.started_us = child_now_us();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0) {
		log_error("trunk of service %u: %s", end->setup.service_port, strerror(errno));
		restart_later(end);
		return 0;
	}
	end->setup.channel = channel[1];
	end->setup.main_pid = getpid();
	load_splice(end);
	end->pid = fork();
	if (end->pid == 0)
		run_child(end);
	if (end->pid < 0)
		result = -errno;
	close(channel[1]);
	splice_maps_close(&end->setup.splice_maps);
	end->channel = channel[0];
	end->child = sd_event_source_disable_unref(end->child);
	if (!result)
		result = sd_event_add_child(end->ends->event, &end->child, end->pid, WEXITED,
					    on_death, end);
	if (result < 0) {
		log_error("trunk of service %u: %s", end->setup.service_port, strerror(-result));
		close(end->channel);
		end->channel = -1;
		end->pid = 0;
		restart_later(end);
	}
	return 0;
}

/* ---- one end ---- */

static void end_free(struct trunk_end *end)
{
	if (!end)
		return;
	end->child = sd_event_source_disable_unref(end->child);
	sd_event_source_disable_unref(end->restart);
	if (end->channel >= 0)
		close(end->channel); /* which stops it */
	if (end->pid > 0)
		child_reap("trunk end", end->pid, child_now_us() + STOP_US);
	close_listeners(end);
	free(end->listeners);
	free(end->addresses);
	free(end);
}

static void end_drain(struct trunk_end *end)
{
	if (end->draining)
		return;
	end->draining = true;
	end->restart = sd_event_source_disable_unref(end->restart);
	close_listeners(end);
	if (end->channel >= 0 && send(end->channel, "d", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		log_debug("trunk of service %u: %s", end->setup.service_port, strerror(errno));
}

static const char *trunk_user(void)
{
	if (geteuid() != 0)
		return NULL;
	return getpwnam("sluice") ? "sluice" : "nobody";
}

static struct trunk_end *end_new(struct trunk_ends *ends, const struct agent_config *config,
				 const struct agent_service *service)
{
	struct trunk_end *end = calloc(1, sizeof(*end));
	size_t count = config->address_count;

	if (!end)
		return NULL;
	end->ends = ends;
	end->channel = -1;
	end->trunk_port = service->trunk_port;
	end->params = service->params;
	end->addresses = calloc(count, sizeof(*end->addresses));
	end->listeners = calloc(count, sizeof(*end->listeners));
	if (!end->addresses || !end->listeners) {
		end_free(end);
		return NULL;
	}
	memcpy(end->addresses, config->addresses, count * sizeof(*end->addresses));
	for (size_t i = 0; i < count; i++)
		end->listeners[i] = -1;
	end->setup = (struct trunk_relay_setup){
		.listeners = end->listeners,
		.addresses = (const uint8_t(*)[16])end->addresses,
		.count = count,
		.service_port = service->service_port,
		.proxy_protocol = service->params.proxy_protocol == PROXY_PROTOCOL_V2,
		.keepalive_s = service->params.keepalive_s,
		.budget = wan_window(&service->params),
		.engine = service->params.engine,
		.user = trunk_user(),
	};
	return end;
}

static bool is_same(const struct trunk_end *one, const struct trunk_end *other)
{
	return one->trunk_port == other->trunk_port && one->setup.count == other->setup.count &&
	       memcmp(one->addresses, other->addresses,
		      one->setup.count * sizeof(*one->addresses)) == 0 &&
	       one->setup.service_port == other->setup.service_port &&
	       memcmp(&one->params, &other->params, sizeof(one->params)) == 0;
}

/* ---- all ---- */

/* The kernel takes two subflows of a connection if nobody says more. */
static int allow_subflows(struct trunk_ends *ends, char *error)
{
	int result = ends->manager ? 0 : mptcp_manager_open(&ends->manager);

	if (ends->has_limit)
		return 0;
	result = result ?: mptcp_limit(ends->manager, &ends->limit_before);
	if (!result && ends->limit_before < MPTCP_SUBFLOWS_MAX) {
		result = mptcp_set_limit(ends->manager, MPTCP_SUBFLOWS_MAX);
		ends->has_limit = !result;
	}
	if (result)
		snprintf(error, TRUNK_END_ERROR_MAX,
			 "parallel: MPTCP subflows cannot be allowed here: %s%s", strerror(-result),
			 result == -EPERM ? ": needs CAP_NET_ADMIN" : "");
	return result;
}

static struct trunk_end *find_same(const struct trunk_ends *ends, const struct trunk_end *wanted)
{
	for (size_t i = 0; i < ends->count; i++) {
		struct trunk_end *end = ends->ends[i];

		if (end && !end->draining && is_same(end, wanted))
			return end;
	}
	return NULL;
}

/* Adds the end of one service, not running yet, or finds the one that runs. */
static int want(struct trunk_ends *ends, const struct agent_config *config,
		const struct agent_service *service, char *error)
{
	struct trunk_end *end = end_new(ends, config, service), *same, **place;
	int result;

	if (!end) {
		snprintf(error, TRUNK_END_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	same = find_same(ends, end);
	if (same) {
		end_free(end);
		same->wanted = true;
		return 0;
	}
	result = service->params.parallel > 1 ? allow_subflows(ends, error) : 0;
	result = result ?: open_listeners(ends, end, error);
	place = result ? NULL : array_add(&ends->ends, &ends->count, sizeof(*place));
	if (!place) {
		end_free(end);
		if (!result)
			snprintf(error, TRUNK_END_ERROR_MAX, "out of memory");
		return result ?: -ENOMEM;
	}
	end->wanted = true;
	*place = end;
	return 0;
}

/* Frees ends whose process is gone, and keeps the others in order. */
static void remove_gone(struct trunk_ends *ends)
{
	size_t kept = 0;

	for (size_t i = 0; i < ends->count; i++) {
		struct trunk_end *end = ends->ends[i];

		if (end->draining && end->pid == 0)
			end_free(end);
		else
			ends->ends[kept++] = end;
	}
	ends->count = kept;
}

int trunk_ends_apply(struct trunk_ends *ends, const struct agent_config *config, char *error)
{
	size_t before;
	int result = 0;

	remove_gone(ends);
	before = ends->count;
	for (size_t i = 0; i < before; i++)
		ends->ends[i]->wanted = false;
	for (size_t i = 0; i < config->service_count && !result; i++)
		if (config->services[i].ends_trunk)
			result = want(ends, config, &config->services[i], error);
	if (result) {
		while (ends->count > before)
			end_free(ends->ends[--ends->count]);
		return result;
	}
	for (size_t i = 0; i < ends->count; i++) {
		if (!ends->ends[i]->wanted)
			end_drain(ends->ends[i]);
		else if (i >= before)
			start_process(ends->ends[i]);
	}
	remove_gone(ends);
	return 0;
}

void trunk_ends_drain(struct trunk_ends *ends)
{
	for (size_t i = 0; i < ends->count; i++)
		end_drain(ends->ends[i]);
}

bool trunk_ends_are_idle(const struct trunk_ends *ends)
{
	for (size_t i = 0; i < ends->count; i++)
		if (ends->ends[i]->pid > 0)
			return false;
	return true;
}

void trunk_ends_free(struct trunk_ends *ends)
{
	for (size_t i = 0; i < ends->count; i++)
		end_free(ends->ends[i]);
	free(ends->ends);
	if (ends->has_limit)
		mptcp_set_limit(ends->manager, ends->limit_before);
	mptcp_manager_close(ends->manager);
}
