// SPDX-License-Identifier: GPL-2.0
/* See registrar_process.h. */
#include "registrar_process.h"

#include <errno.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "child.h"
#include "log.h"
#include "registrar.h"
#include "secret.h"

#define LISTEN_BACKLOG 1024

/* So that a request and an answer of every connection fit into the channel. */
#define CHANNEL_BUFFER (4 << 20)

/* How long the registrar may take to stop: it has nothing to finish. */
#define STOP_TIMEOUT_US 1000000ULL

enum phase { PHASE_OFF, PHASE_DEAD, PHASE_STARTING, PHASE_SERVING };

struct registrar_process {
	sd_event *event;
	struct registrations *registrations;
	const char *root;
	const struct gateway_config *config; /* that it runs with */
	struct registrar_config listening; /* where listener listens */
	int listener, next_listener; /* -1: none */
	struct registrar_config next_listening;
	enum phase phase;
	pid_t pid;
	int channel;
	sd_event_source *channel_source;
	sd_event_source *child_source;
	sd_event_source *restart_timer;
	struct child_restarts restarts;
	struct registrar_counters *counters; /* outlive the registrar */
};

static int start(struct registrar_process *process);

/* ---- the listening socket ---- */

static int open_listener(const struct registrar_config *config)
{
	struct sockaddr_storage address;
	socklen_t length = endpoint_to_sockaddr(config->address, config->port, &address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, off = 0, result = 0;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* "[::]" is for agents of both families, whatever the host's default is. */
	if (address.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		result = -errno;
	if (!result)
		return fd;
	close(fd);
	return result;
}

static void close_listener(int *listener)
{
	if (*listener >= 0)
		close(*listener);
	*listener = -1;
}

int registrar_process_listen(struct registrar_process *process,
			     const struct registrar_config *config, char *error)
{
	char endpoint[ENDPOINT_TEXT_MAX];
	int fd;

	close_listener(&process->next_listener);
	process->next_listening = *config;
	if (config->port == 0 || (process->listening.port == config->port &&
				  memcmp(process->listening.address, config->address, 16) == 0))
		return 0;
	fd = open_listener(config);
	if (fd < 0) {
		snprintf(error, REGISTRAR_ERROR_MAX, "registrar cannot listen on %s: %s",
			 endpoint_format(config->address, config->port, endpoint), strerror(-fd));
		return fd;
	}
	process->next_listener = fd;
	return 0;
}

/* ---- the process ---- */

static _Noreturn void run_child(const struct registrar_setup *setup)
{
	int keep[] = { setup->listener, setup->channel };

	child_begin(keep, sizeof(keep) / sizeof(keep[0]), "sluiced registrar");
	_exit(registrar_run(setup));
}

static int open_channel(int channel[2])
{
	int size = CHANNEL_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		if (setsockopt(channel[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
			return -errno;
	return 0;
}

/* Forks it with the keys, which other children do not get. */
static int spawn(struct registrar_process *process, struct registrar_setup *setup)
{
	const struct gateway_config *config = process->config;
	size_t size = config->policy_count * sizeof(*config->keys);
	int result = size ? secret_inherit(config->keys, size, true) : 0;

	if (result)
		return result;
	process->pid = fork();
	if (process->pid == 0)
		run_child(setup);
	if (process->pid < 0) {
		result = -errno;
		process->pid = 0;
	}
	if (size)
		secret_inherit(config->keys, size, false);
	return result;
}

static int spawn_with_channel(struct registrar_process *process)
{
	const struct gateway_config *config = process->config;
	struct registrar_setup setup = {
		.main_pid = getpid(),
		.listener = process->listener,
		.lease_s = config->registrar.lease_s,
		.user = getpwnam("sluice-registrar") ? "sluice-registrar" : "nobody",
		.root = process->root,
		.identity_count = config->policy_count,
		.keys = (const uint8_t(*)[KEY_SIZE])config->keys,
		.counters = process->counters,
	};
	char(*names)[IDENTITY_NAME_MAX] = calloc(config->policy_count + 1, sizeof(*names));
	int channel[2] = { -1, -1 };
	int result = names ? open_channel(channel) : -ENOMEM;

	for (size_t i = 0; i < config->policy_count && !result; i++)
		memcpy(names[i], config->policies[i].name, sizeof(names[i]));
	setup.names = (const char(*)[IDENTITY_NAME_MAX])names;
	setup.channel = channel[1];
	result = result ?: spawn(process, &setup);
	if (channel[1] >= 0)
		close(channel[1]);
	if (result && channel[0] >= 0)
		close(channel[0]);
	else if (!result)
		process->channel = channel[0];
	free(names);
	return result;
}

static int on_restart(sd_event_source *source, uint64_t us, void *context)
{
	struct registrar_process *process = context;

	(void)source;
	(void)us;
	process->restart_timer = sd_event_source_disable_unref(process->restart_timer);
	start(process);
	return 0;
}

static void schedule_restart(struct registrar_process *process)
{
	int result = sd_event_add_time_relative(process->event, &process->restart_timer,
						CLOCK_MONOTONIC,
						child_restart_delay(&process->restarts), 0,
						on_restart, process);

	if (result < 0)
		log_error("the registrar stays down: %s", strerror(-result));
}

/* What a registrar leaves that is gone: its agents' leases run on. */
static void forget(struct registrar_process *process)
{
	process->phase = PHASE_DEAD;
	process->pid = 0;
	process->channel_source = sd_event_source_disable_unref(process->channel_source);
	process->child_source = sd_event_source_disable_unref(process->child_source);
	if (process->channel >= 0)
		close(process->channel);
	process->channel = -1;
	registrations_disconnect(process->registrations);
}

static int on_death(sd_event_source *source, const siginfo_t *info, void *context)
{
	struct registrar_process *process = context;

	(void)source;
	child_log_death("registrar", process->pid, info, "its agents will connect again");
	process->restarts.count++;
	forget(process);
	schedule_restart(process);
	return 0;
}

/* A registrar that does what ours would not: it is not ours any more. */
static void disown(struct registrar_process *process, const char *why)
{
	log_error("killing the registrar: %s", why);
	sd_event_source_set_enabled(process->channel_source, SD_EVENT_OFF);
	kill(process->pid, SIGKILL);
}

static int on_message(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct registrar_process *process = context;
	struct registrar_request request;
	struct registrar_answer answer;
	ssize_t length = recv(fd, &request, sizeof(request), MSG_DONTWAIT);
	int result;

	(void)source;
	(void)events;
	if (length == 0) /* closed: the child source says how it ended */
		sd_event_source_set_enabled(process->channel_source, SD_EVENT_OFF);
	if (length <= 0)
		return 0;
	if (length != sizeof(request)) {
		disown(process, "it sent a malformed message");
	} else if (request.type == REGISTRAR_READY) {
		process->phase = PHASE_SERVING;
		log_debug("the registrar serves (pid %d)", (int)process->pid);
	} else {
		result = registrations_request(process->registrations, &request, child_now_us(),
					       &answer);
		if (result < 0)
			disown(process, "it sent a malformed request");
		else if (result > 0 &&
			 send(fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			disown(process, "it does not take the answers");
	}
	return 0;
}

static int start(struct registrar_process *process)
{
	int result;

	process->restarts.started_us = child_now_us();
	result = spawn_with_channel(process);
	if (result) {
		log_error("the registrar cannot be started: %s", strerror(-result));
		schedule_restart(process);
		return result;
	}
	process->phase = PHASE_STARTING;
	result = sd_event_add_child(process->event, &process->child_source, process->pid, WEXITED,
				    on_death, process);
	if (result >= 0)
		result = sd_event_add_io(process->event, &process->channel_source, process->channel,
					 EPOLLIN, on_message, process);
	if (result < 0)
		log_error("registrar: %s", strerror(-result));
	return result < 0 ? result : 0;
}

static void stop(struct registrar_process *process)
{
	pid_t pid = process->pid;

	process->restart_timer = sd_event_source_disable_unref(process->restart_timer);
	forget(process); /* which closes the channel, and so tells it */
	if (pid)
		child_reap("registrar", pid, child_now_us() + STOP_TIMEOUT_US);
	process->phase = PHASE_OFF;
}

/* ---- from outside ---- */

int registrar_process_new(sd_event *event, struct registrations *registrations, const char *root,
			  struct registrar_process **process)
{
	struct registrar_process *new = calloc(1, sizeof(*new));

	*process = NULL;
	if (!new)
		return -ENOMEM;
	new->counters = mmap(NULL, sizeof(*new->counters), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (new->counters == MAP_FAILED) {
		free(new);
		return -ENOMEM;
	}
	new->event = event;
	new->registrations = registrations;
	new->root = root;
	new->channel = new->listener = new->next_listener = -1;
	*process = new;
	return 0;
}

void registrar_process_free(struct registrar_process *process)
{
	if (!process)
		return;
	stop(process);
	close_listener(&process->listener);
	close_listener(&process->next_listener);
	munmap(process->counters, sizeof(*process->counters));
	free(process);
}

static bool same_identities(const struct gateway_config *one, const struct gateway_config *other)
{
	if (one->policy_count != other->policy_count)
		return false;
	for (size_t i = 0; i < one->policy_count; i++)
		if (strcmp(one->policies[i].name, other->policies[i].name) != 0 ||
		    memcmp(one->keys[i], other->keys[i], KEY_SIZE) != 0)
			return false;
	return true;
}

void registrar_process_apply(struct registrar_process *process, const struct gateway_config *before,
			     const struct gateway_config *config)
{
	bool same_listener = process->next_listener < 0 && process->next_listening.port != 0;

	process->config = config;
	if (process->phase != PHASE_OFF && before && same_listener &&
	    before->registrar.lease_s == config->registrar.lease_s &&
	    same_identities(before, config))
		return;
	stop(process);
	if (!same_listener) {
		close_listener(&process->listener);
		process->listener = process->next_listener;
		process->listening = process->next_listening;
		process->next_listener = -1;
	}
	if (process->listener >= 0)
		start(process);
}

struct registrar_report registrar_process_report(const struct registrar_process *process)
{
	static const char *const states[] = { "off", "dead", "starting", "serving" };
	struct registrar_report report = { .pid = process->pid,
					   .state = states[process->phase],
					   .restarts = process->restarts.count,
					   .counters = process->registrations->counters };

#define ADD_COUNTER(name, description) report.counters.name += process->counters->name;
	REGISTRAR_COUNTERS(ADD_COUNTER)
#undef ADD_COUNTER
	return report;
}
