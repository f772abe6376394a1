// SPDX-License-Identifier: GPL-2.0
/* See registrar_process.h. */
#include "registrar_process.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "child.h"
#include "registrar.h"
#include "secret.h"

struct registrar_process {
	struct service *service;
	struct registrations *registrations;
	const char *root;
	const struct gateway_config *config; /* that it runs with */
	struct registrar_counters *counters; /* outlive the registrar */
};

/* ---- what a service does in its own way ---- */

static _Noreturn void run_child(const struct registrar_setup *setup)
{
	int keep[] = { setup->listener, setup->channel };

	child_begin(keep, sizeof(keep) / sizeof(keep[0]), "sluiced registrar");
	_exit(registrar_run(setup));
}

/* Forks it with the keys, which other children do not get. */
static pid_t fork_with_keys(const struct gateway_config *config,
			    const struct registrar_setup *setup)
{
	size_t size = config->policy_count * sizeof(*config->keys);
	int result = size ? secret_inherit(config->keys, size, true) : 0;
	pid_t pid;

	if (result)
		return result;
	pid = fork();
	if (pid == 0)
		run_child(setup);
	if (pid < 0)
		pid = -errno;
	if (size)
		secret_inherit(config->keys, size, false);
	return pid;
}

static pid_t fork_registrar(void *context, int listener, int channel)
{
	struct registrar_process *process = context;
	const struct gateway_config *config = process->config;
	char(*names)[IDENTITY_NAME_MAX] = calloc(config->policy_count + 1, sizeof(*names));
	struct registrar_setup setup = {
		.main_pid = getpid(),
		.listener = listener,
		.channel = channel,
		.lease_s = config->registrar.lease_s,
		.user = getpwnam("sluice-registrar") ? "sluice-registrar" : "nobody",
		.root = process->root,
		.identity_count = config->policy_count,
		.names = (const char(*)[IDENTITY_NAME_MAX])names,
		.keys = (const uint8_t(*)[KEY_SIZE])config->keys,
		.counters = process->counters,
	};
	pid_t pid;

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < config->policy_count; i++)
		memcpy(names[i], config->policies[i].name, sizeof(names[i]));
	pid = fork_with_keys(config, &setup);
	free(names);
	return pid;
}

static const char *on_message(struct service *service, void *context, const void *message,
			      size_t length)
{
	const struct registrar_process *process = context;
	const struct registrar_request *request = message;
	struct registrar_answer answer;
	int result;

	if (length != sizeof(*request))
		return "it sent a malformed message";
	if (request->type == REGISTRAR_READY) {
		service_serves(service);
		return NULL;
	}
	result = registrations_request(process->registrations, request, child_now_us(), &answer);
	if (result < 0)
		return "it sent a malformed request";
	if (result > 0 && service_send(service, &answer, sizeof(answer)) < 0)
		return "it does not take the answers";
	return NULL;
}

/* What a registrar leaves that is gone: its agents' leases run on. */
static void on_gone(void *context)
{
	const struct registrar_process *process = context;

	registrations_disconnect(process->registrations);
}

static const struct service_type registrar_service = {
	.name = "registrar",
	.lost = "its agents will connect again",
	.message_max = sizeof(struct registrar_request),
	.fork = fork_registrar,
	.message = on_message,
	.gone = on_gone,
};

/* ---- from outside ---- */

int registrar_process_new(sd_event *event, struct registrations *registrations, const char *root,
			  struct registrar_process **process)
{
	struct registrar_process *new = calloc(1, sizeof(*new));
	int result = new ? 0 : -ENOMEM;

	*process = NULL;
	if (result)
		return result;
	new->registrations = registrations;
	new->root = root;
	new->counters = mmap(NULL, sizeof(*new->counters), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (new->counters == MAP_FAILED)
		result = -ENOMEM;
	else
		result = service_new(event, &registrar_service, new, &new->service);
	if (result && new->counters != MAP_FAILED)
		munmap(new->counters, sizeof(*new->counters));
	if (result)
		free(new);
	else
		*process = new;
	return result;
}

void registrar_process_free(struct registrar_process *process)
{
	if (!process)
		return;
	service_free(process->service);
	munmap(process->counters, sizeof(*process->counters));
	free(process);
}

int registrar_process_listen(struct registrar_process *process,
			     const struct registrar_config *config, char *error)
{
	return service_listen(process->service, config->address, config->port, error);
}

void registrar_process_listen_cancel(struct registrar_process *process)
{
	service_listen_cancel(process->service);
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
	bool same = before && before->registrar.lease_s == config->registrar.lease_s &&
		    same_identities(before, config);

	process->config = config;
	service_apply(process->service, same);
}

struct service_report registrar_process_report(const struct registrar_process *process)
{
	return service_report(process->service);
}

struct registrar_counters registrar_process_counters(const struct registrar_process *process)
{
	struct registrar_counters sum = process->registrations->counters;

#define ADD_COUNTER(name, description) sum.name += process->counters->name;
	REGISTRAR_COUNTERS(ADD_COUNTER)
#undef ADD_COUNTER
	return sum;
}
