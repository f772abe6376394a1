// SPDX-License-Identifier: GPL-2.0
/*
 * sluice-agent: registers the services of a remote, or of the site behind a
 * router, at one or several gateways, for as long as it runs.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "agent_config.h"
#include "array.h"
#include "file_limit.h"
#include "log.h"
#include "privileges.h"
#include "session.h"
#include "signals.h"
#include "tls_memory.h"
#include "trunk_end.h"
#include "trunk_tuning.h"

/* What a stop takes at most besides waiting for flows. */
#define STOP_S 30U

/* How long withdrawing may take when the agent is to stop. */
#define WITHDRAW_US 2000000ULL

/* How long new connections may be without linkrate when its owner has gone. */
#define KEEP_US 500000ULL

static const char usage[] =
	"Usage: sluice-agent [-c FILE] [--check] [-v]\n"
	"\n"
	"Registers this host's services at sluice gateways and keeps them registered.\n"
	"\n"
	"  -c, --config FILE  configuration (/etc/sluice/agent.conf)\n"
	"      --check        check the configuration, report every mistake, and exit\n"
	"  -v, --verbose      log more\n"
	"  -V, --version      print the version and exit\n"
	"  -h, --help         print this and exit\n"
	"\n"
	"SIGTERM withdraws and exits, SIGHUP reloads the configuration.\n";

struct arguments {
	const char *config_path;
	bool check;
	bool verbose;
};

struct agent {
	const char *config_path;
	struct agent_config *config; /* the one in force; owned */
	sd_event *event;
	struct session **sessions; /* owned, array_add() */
	size_t session_count;
	struct trunk_tuning tuning;
	sd_event_source *retune; /* off but when a round trip has changed */
	struct trunk_ends trunks;
	bool stopping;
	bool withdrawn; /* or given up withdrawing */
};

/* ---- sessions ---- */

static void on_idle(void *context)
{
	struct agent *agent = context;

	if (!agent->stopping)
		return;
	for (size_t i = 0; i < agent->session_count && !agent->withdrawn; i++)
		if (agent->sessions[i] && !session_is_idle(agent->sessions[i]))
			return;
	/* No gateway connects any more: what runs may end. */
	agent->withdrawn = true;
	trunk_ends_drain(&agent->trunks);
	if (trunk_ends_are_idle(&agent->trunks))
		sd_event_exit(agent->event, 0);
}

/*
 * A trunk port has one tuning whichever gateway connects: that of the longest way. On a
 * shorter one the buffers are too large and the first flight queues, but it is paced;
 * the other way round the longer link would stay empty.
 */
static int on_retune(sd_event_source *source, void *context)
{
	struct agent *agent = context;
	uint32_t longest_us = 0;

	(void)source;
	for (size_t i = 0; i < agent->session_count; i++) {
		uint32_t rtt_us = agent->sessions[i] ? session_rtt_us(agent->sessions[i]) : 0;

		longest_us = rtt_us > longest_us ? rtt_us : longest_us;
	}
	if (longest_us > 0) /* a guess of yesterday is better than none */
		trunk_tuning_path(&agent->tuning, agent->config, longest_us);
	return 0;
}

/* Not at once: a session may run while a configuration is applied. */
static void on_path(void *context)
{
	struct agent *agent = context;

	sd_event_source_set_enabled(agent->retune, SD_EVENT_ONESHOT);
}

static int add_retune(struct agent *agent)
{
	int result = sd_event_add_defer(agent->event, &agent->retune, on_retune, agent);

	return result < 0 ? result : sd_event_source_set_enabled(agent->retune, SD_EVENT_OFF);
}

/* Takes the session of this gateway out of a list, or makes a new one. */
static struct session *take_session(struct agent *agent, struct session **old, size_t old_count,
				    const struct agent_gateway *gateway,
				    const uint8_t key[KEY_SIZE])
{
	const struct session_handlers handlers = { .idle = on_idle,
						   .path = on_path,
						   .context = agent };
	struct session *session = NULL;

	for (size_t i = 0; i < old_count; i++) {
		if (!old[i] || !session_is_of(old[i], gateway, key))
			continue;
		session = old[i];
		old[i] = NULL;
		return session;
	}
	session_new(agent->event, gateway, key, &handlers, &session);
	return session;
}

/*
 * Makes the sessions those of a configuration. One whose gateway is no longer
 * named is withdrawn from as far as that goes without waiting; its lease does the rest.
 */
static int apply(struct agent *agent, const struct agent_config *config)
{
	struct session **old = agent->sessions, **session;
	size_t old_count = agent->session_count;
	char error[TRUNK_END_ERROR_MAX];
	/* Before a gateway can hear of a service and connect to it. */
	int result = trunk_ends_apply(&agent->trunks, config, error);

	if (result) {
		log_error("%s", error);
		return result;
	}
	result = trunk_tuning_apply(&agent->tuning, config);

	agent->sessions = NULL;
	agent->session_count = 0;
	for (size_t i = 0; i < config->gateway_count && !result; i++) {
		session = array_add(&agent->sessions, &agent->session_count, sizeof(*session));
		if (session)
			*session = take_session(agent, old, old_count, &config->gateways[i],
						config->keys[i]);
		if (!session || !*session)
			result = -ENOMEM;
		else
			result = session_want(*session, config);
	}
	for (size_t i = 0; i < old_count; i++) {
		if (old[i])
			session_want(old[i], NULL);
		session_free(old[i]);
	}
	free(old);
	on_path(agent); /* of the gateways that are left */
	return result;
}

static int on_keep(sd_event_source *source, uint64_t now_us, void *context)
{
	struct agent *agent = context;

	trunk_tuning_keep(&agent->tuning);
	sd_event_source_set_time(source, now_us + KEEP_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* ---- signals ---- */

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	struct agent *agent = context;
	struct agent_config *config;
	int result;

	(void)source;
	(void)info;
	if (agent->stopping)
		return 0;
	if (agent_config_load(agent->config_path, &config, stderr)) {
		log_error("%s: not reloaded, the old configuration stays in force",
			  agent->config_path);
		return 0;
	}
	result = apply(agent, config);
	if (result) {
		agent_config_free(config);
		if (result != -ENOMEM) {
			log_error("%s: not reloaded, the old configuration stays in force",
				  agent->config_path);
			return 0;
		}
		log_error("out of memory");
		return sd_event_exit(agent->event, EXIT_FAILURE);
	}
	agent_config_free(agent->config);
	agent->config = config;
	log_notice("reloaded: %zu services at %zu gateways",
		   config->service_count * config->address_count, config->gateway_count);
	return 0;
}

static int on_withdraw_timeout(sd_event_source *source, uint64_t us, void *context)
{
	struct agent *agent = context;

	(void)source;
	(void)us;
	if (agent->withdrawn)
		return 0;
	log_warning("a gateway does not answer: what is registered there ends with its lease");
	agent->withdrawn = true;
	on_idle(agent);
	return 0;
}

static int on_drain_timeout(sd_event_source *source, uint64_t us, void *context)
{
	struct agent *agent = context;

	(void)source;
	(void)us;
	log_notice("drain time is over, flows of ended trunks are reset");
	return sd_event_exit(agent->event, 0);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	struct agent *agent = context;

	(void)source;
	(void)info;
	if (agent->stopping) /* asked twice: at once */
		return sd_event_exit(agent->event, 0);
	agent->stopping = true;
	/* A service manager must not kill what it sees stopping while flows may end. */
	sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
		   (agent->config->drain_timeout_s + STOP_S) * 1000000ULL);
	if (sd_event_add_time_relative(agent->event, NULL, CLOCK_MONOTONIC, WITHDRAW_US, 0,
				       on_withdraw_timeout, agent) < 0 ||
	    sd_event_add_time_relative(agent->event, NULL, CLOCK_MONOTONIC,
				       WITHDRAW_US + agent->config->drain_timeout_s * 1000000ULL, 0,
				       on_drain_timeout, agent) < 0)
		return sd_event_exit(agent->event, 0);
	for (size_t i = 0; i < agent->session_count; i++)
		session_want(agent->sessions[i], NULL);
	on_idle(agent);
	return 0;
}

/* ---- the program ---- */

/*
 * What a reload, or a trunk's process that is started again, needs: programs and
 * tables; limits of MPTCP, linkrate; low trunk ports; another user, and to stop
 * what is one. Without root there is nothing to give up.
 */
static int give_up_privileges(void)
{
	static const int capabilities[] = { CAP_BPF,	   CAP_PERFMON,
					    CAP_NET_ADMIN, CAP_NET_BIND_SERVICE,
					    CAP_SETUID,	   CAP_SETGID,
					    CAP_KILL };
	char error[160];
	int result;

	if (geteuid() != 0)
		return 0;
	result = privileges_keep(capabilities, sizeof(capabilities) / sizeof(capabilities[0]),
				 error, sizeof(error));
	if (result)
		log_error("%s", error);
	return result;
}

static int run(struct agent *agent)
{
	int result = sd_event_default(&agent->event);

	if (result >= 0)
		result = signals_add(agent->event, on_terminate, on_hangup, agent);
	if (result >= 0)
		result = sd_event_set_watchdog(agent->event, true);
	if (result >= 0)
		result = sd_event_add_time_relative(agent->event, NULL, CLOCK_MONOTONIC, KEEP_US, 0,
						    on_keep, agent);
	if (result >= 0)
		result = add_retune(agent);
	agent->trunks.event = agent->event;
	agent->trunks.idle = on_idle;
	agent->trunks.context = agent;
	if (result >= 0)
		result = apply(agent, agent->config);
	if (result >= 0)
		result = give_up_privileges();
	if (result >= 0) {
		sd_notify(0, "READY=1");
		result = sd_event_loop(agent->event);
	}
	if (result < 0)
		log_error("%s", strerror(-result));
	for (size_t i = 0; i < agent->session_count; i++)
		session_free(agent->sessions[i]);
	free(agent->sessions);
	sd_event_source_disable_unref(agent->retune);
	trunk_ends_free(&agent->trunks);
	trunk_tuning_free(&agent->tuning);
	agent_config_free(agent->config);
	sd_event_unref(agent->event);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Returns -1 to go on, or the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
	enum { OPTION_CHECK = 256 };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, OPTION_CHECK },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:vVh", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			arguments->config_path = optarg;
			break;
		case OPTION_CHECK:
			arguments->check = true;
			break;
		case 'v':
			arguments->verbose = true;
			break;
		case 'V':
			printf("sluice-agent %s\n", SLUICE_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs("Try `sluice-agent --help`.\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr,
			"sluice-agent: unexpected argument \"%s\": try `sluice-agent --help`\n",
			argv[optind]);
		return 2;
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .config_path = "/etc/sluice/agent.conf" };
	struct agent agent = { 0 };
	int status = parse_arguments(argc, argv, &arguments);

	if (status >= 0)
		return status;
	if (tls_memory_open())
		return EXIT_FAILURE;
	file_limit_raise();
	log_open("sluice-agent", arguments.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	agent.config_path = arguments.config_path;
	if (agent_config_load(agent.config_path, &agent.config, stderr))
		return EXIT_FAILURE;
	if (arguments.check) {
		agent_config_free(agent.config);
		return EXIT_SUCCESS;
	}
	return run(&agent);
}
