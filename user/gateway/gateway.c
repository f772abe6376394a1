// SPDX-License-Identifier: GPL-2.0
/* Starting, reloading, draining and stopping the gateway; see gateway.h. */
#include "gateway.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "privileges.h"
#include "routing.h"

/* How often draining entries and unused parameters are looked for. */
#define SWEEP_US 500000ULL

/* Maps, links and interfaces; and what relays that are restarted keep or need
 * to change their user; and killing a relay that does not stop. */
static const int capabilities[] = {
	CAP_BPF,    CAP_PERFMON, CAP_NET_ADMIN, CAP_NET_RAW,	CAP_NET_BIND_SERVICE,
	CAP_SETUID, CAP_SETGID,	 CAP_KILL,	CAP_SYS_CHROOT,
};

static uint64_t flows_of(uint32_t port_id, void *context)
{
	const struct gateway *gateway = context;

	return gateway->supervisor ? supervisor_port_flows(gateway->supervisor, port_id) : 0;
}

static void nexthop_changed(uint32_t count, void *context)
{
	const struct gateway *gateway = context;

	intercept_set_nexthop_entries(gateway->intercept, count);
}

static unsigned relay_count(const struct gateway_config *config)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (config->workers)
		return config->workers;
	if (cpus < 1)
		return 1;
	return cpus > SLUICE_MAX_RELAYS ? SLUICE_MAX_RELAYS : (unsigned)cpus;
}

static const char *relay_user(const struct gateway_config *config)
{
	if (config->user && config->user[0])
		return config->user;
	return getpwnam("sluice") ? "sluice" : "nobody";
}

static int on_sweep(sd_event_source *source, uint64_t now_us, void *context)
{
	struct gateway *gateway = context;

	registry_sweep(gateway->registry);
	registrations_sweep(&gateway->registrations, now_us);
	if (gateway->stopping && supervisor_flows(gateway->supervisor) == 0)
		return sd_event_exit(gateway->event, 0);
	sd_event_source_set_time(source, now_us + SWEEP_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_drain_timeout(sd_event_source *source, uint64_t now_us, void *context)
{
	struct gateway *gateway = context;

	(void)source;
	(void)now_us;
	log_notice("drain time is over, %llu flows are reset",
		   (unsigned long long)supervisor_flows(gateway->supervisor));
	return sd_event_exit(gateway->event, 0);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	struct gateway *gateway = context;
	int result;

	(void)source;
	(void)info;
	if (gateway->stopping) /* asked twice: at once */
		return sd_event_exit(gateway->event, 0);
	gateway->stopping = true;
	gateway_drain(gateway);
	sd_notify(0, "STOPPING=1");
	if (supervisor_flows(gateway->supervisor) == 0)
		return sd_event_exit(gateway->event, 0);
	log_notice("stopping: waiting up to %u s for %llu flows to end",
		   gateway->config->drain_timeout_s,
		   (unsigned long long)supervisor_flows(gateway->supervisor));
	result = sd_event_add_time_relative(gateway->event, &gateway->drain_timer, CLOCK_MONOTONIC,
					    gateway->config->drain_timeout_s * 1000000ULL, 0,
					    on_drain_timeout, gateway);
	return result < 0 ? sd_event_exit(gateway->event, 0) : 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	char error[GATEWAY_ERROR_MAX];

	(void)source;
	(void)info;
	if (gateway_reload(context, error))
		log_error("%s", error);
	return 0;
}

static void on_all_serving(void *context)
{
	const struct gateway *gateway = context;

	log_notice("serving: %zu ports on %zu proxies, %u relays",
		   registry_port_count(gateway->registry), registry_proxy_count(gateway->registry),
		   supervisor_relay_count(gateway->supervisor));
	sd_notify(0, "READY=1");
}

static int add_signals(struct gateway *gateway)
{
	sigset_t signals;
	int result;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	result = sd_event_add_signal(gateway->event, NULL, SIGTERM, on_terminate, gateway);
	if (result >= 0)
		result = sd_event_add_signal(gateway->event, NULL, SIGINT, on_terminate, gateway);
	if (result >= 0)
		result = sd_event_add_signal(gateway->event, NULL, SIGHUP, on_hangup, gateway);
	return result < 0 ? result : 0;
}

/* A flow is two descriptors. */
static void raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int make_run_dir(struct gateway *gateway, char *error)
{
	if (mkdir(gateway->options.run_dir, 0755) == 0) {
		gateway->made_run_dir = true;
		return 0;
	}
	if (errno == EEXIST)
		return 0;
	snprintf(error, GATEWAY_ERROR_MAX, "%s: cannot be made: %s", gateway->options.run_dir,
		 strerror(errno));
	return -errno;
}

static int start_tables(struct gateway *gateway, char *error)
{
	const struct gateway_config *config = gateway->config;
	struct intercept_options options = { .pin_dir = gateway->options.pin_dir,
					     .relays = relay_count(config),
					     .max_proxies = config->max_proxies,
					     .max_ports = config->max_ports,
					     .half_open = config->half_open,
					     .half_open_per_client = config->half_open_per_client };
	struct registry_options tables = { .max_ports = config->max_ports,
					   .flows_of = flows_of,
					   .nexthop_changed = nexthop_changed,
					   .context = gateway };
	struct intercept_maps maps;
	int result = intercept_load(&options, &gateway->intercept, error);

	if (result)
		return result;
	maps = intercept_maps(gateway->intercept);
	tables.proxy_table = maps.proxy_table;
	tables.port_table = maps.port_table;
	tables.param_table = maps.param_table;
	result = registry_new(&tables, &gateway->registry);
	if (result) {
		snprintf(error, GATEWAY_ERROR_MAX, "out of memory");
		return result;
	}
	registrations_init(&gateway->registrations, gateway->registry);
	if (registrations_apply(&gateway->registrations, config)) {
		snprintf(error, GATEWAY_ERROR_MAX, "out of memory");
		return -ENOMEM;
	}
	return registry_apply(gateway->registry, config, error);
}

static int make_empty_dir(struct gateway *gateway, char *error)
{
	int result = 0;

	if (asprintf(&gateway->empty_dir, "%s/empty", gateway->options.run_dir) < 0) {
		gateway->empty_dir = NULL;
		result = -ENOMEM;
	} else if (mkdir(gateway->empty_dir, 0555) < 0 && errno != EEXIST) {
		result = -errno;
	}
	if (result)
		snprintf(error, GATEWAY_ERROR_MAX, "%.200s/empty: cannot be made: %s",
			 gateway->options.run_dir, strerror(-result));
	return result;
}

static int start_registrar(struct gateway *gateway, char *error)
{
	int result = make_empty_dir(gateway, error);

	if (result)
		return result;
	result = registrar_process_new(gateway->event, &gateway->registrations, gateway->empty_dir,
				       &gateway->registrar);
	if (result) {
		snprintf(error, GATEWAY_ERROR_MAX, "out of memory");
		return result;
	}
	result = registrar_process_listen(gateway->registrar, &gateway->config->registrar, error);
	if (!result)
		registrar_process_apply(gateway->registrar, NULL, gateway->config);
	return result;
}

static int start_relays(struct gateway *gateway, char *error)
{
	struct supervisor_options options = { .event = gateway->event,
					      .intercept = gateway->intercept,
					      .relays = relay_count(gateway->config),
					      .max_ports = gateway->config->max_ports,
					      .user = relay_user(gateway->config),
					      .all_serving = on_all_serving,
					      .context = gateway };
	int result = supervisor_new(&options, &gateway->supervisor);

	if (result)
		snprintf(error, GATEWAY_ERROR_MAX, "relays cannot be started: %s",
			 strerror(-result));
	return result;
}

static int attach_all(struct gateway *gateway, char *error)
{
	const struct gateway_config *config = gateway->config;
	int result = 0;

	for (size_t i = 0; i < config->lan_count && !result; i++)
		result = intercept_attach(gateway->intercept, config->lan[i], SIDE_LAN, error);
	for (size_t i = 0; i < config->wan_count && !result; i++)
		result = intercept_attach(gateway->intercept, config->wan[i], SIDE_WAN, error);
	return result;
}

static int start_control(struct gateway *gateway, char *error)
{
	char path[PATH_MAX];
	int result;

	snprintf(path, sizeof(path), "%s/control.sock", gateway->options.run_dir);
	result = control_server_new(gateway->event, path, gateway_request, gateway,
				    &gateway->control);
	if (result)
		snprintf(error, GATEWAY_ERROR_MAX, "%.200s: %s%s", path, strerror(-result),
			 result == -EADDRINUSE ? ": another sluiced answers there" : "");
	return result;
}

static int start_timers(struct gateway *gateway)
{
	int result = add_signals(gateway);

	if (result)
		return result;
	result = sd_event_add_time_relative(gateway->event, &gateway->sweep_timer, CLOCK_MONOTONIC,
					    SWEEP_US, 0, on_sweep, gateway);
	if (result >= 0)
		result = sd_event_set_watchdog(gateway->event, true);
	return result < 0 ? result : 0;
}

int gateway_start(struct gateway *gateway, const struct gateway_options *options,
		  struct gateway_config *config, char *error)
{
	int result;

	memset(gateway, 0, sizeof(*gateway));
	gateway->options = *options;
	gateway->config = config;
	raise_limits();
	result = sd_event_default(&gateway->event);
	if (result >= 0)
		result = start_timers(gateway);
	if (result < 0) {
		snprintf(error, GATEWAY_ERROR_MAX, "event loop: %s", strerror(-result));
		return result;
	}
	sd_event_now(gateway->event, CLOCK_MONOTONIC, &gateway->started_us);
	result = make_run_dir(gateway, error);
	result = result ?: start_tables(gateway, error);
	if (!result) {
		gateway->routing = true; /* also when only a part of it was added */
		result = routing_add(error, GATEWAY_ERROR_MAX);
	}
	result = result ?: start_control(gateway, error);
	result = result ?: start_relays(gateway, error);
	result = result ?: start_registrar(gateway, error);
	/* Until relays serve, SYNs pass: nothing is lost by attaching now. */
	result = result ?: attach_all(gateway, error);
	return result
		       ?: privileges_keep(capabilities,
					  sizeof(capabilities) / sizeof(capabilities[0]), error,
					  GATEWAY_ERROR_MAX);
}

int gateway_loop(struct gateway *gateway)
{
	int result = sd_event_loop(gateway->event);

	if (result < 0)
		log_error("event loop: %s", strerror(-result));
	return result;
}

void gateway_free(struct gateway *gateway)
{
	/* First no new connections, then the end of those there are, and only then
	 * the program that finds their packets. */
	if (gateway->intercept && !gateway->draining)
		intercept_set_accepting(gateway->intercept, false);
	registrar_process_free(gateway->registrar);
	supervisor_free(gateway->supervisor);
	control_server_free(gateway->control);
	registry_free(gateway->registry);
	if (gateway->registrations.registry)
		registrations_free(&gateway->registrations);
	intercept_free(gateway->intercept);
	if (gateway->routing)
		routing_remove();
	if (gateway->empty_dir)
		rmdir(gateway->empty_dir);
	free(gateway->empty_dir);
	if (gateway->made_run_dir)
		rmdir(gateway->options.run_dir);
	gateway_config_free(gateway->config);
	sd_event_source_disable_unref(gateway->sweep_timer);
	sd_event_source_disable_unref(gateway->drain_timer);
	sd_event_unref(gateway->event);
}

void gateway_drain(struct gateway *gateway)
{
	gateway->draining = true;
	intercept_set_accepting(gateway->intercept, false);
}

static bool is_listed(const struct gateway_config *config, const char *dev,
		      enum intercept_side side)
{
	size_t count = side == SIDE_LAN ? config->lan_count : config->wan_count;

	for (size_t i = 0; i < count; i++)
		if (strcmp(side == SIDE_LAN ? config->lan[i] : config->wan[i], dev) == 0)
			return true;
	return false;
}

/* Attaches to what is new in the configuration. An interface that cannot be
 * attached is reported, and the reload goes on. */
static int attach_new(struct gateway *gateway, const struct gateway_config *config, char *error)
{
	const struct gateway_config *before = gateway->config;
	int result = 0;

	for (int side = SIDE_LAN; side <= SIDE_WAN && !result; side++) {
		size_t count = side == SIDE_LAN ? config->lan_count : config->wan_count;

		for (size_t i = 0; i < count && !result; i++) {
			const char *dev = side == SIDE_LAN ? config->lan[i] : config->wan[i];

			if (!is_listed(before, dev, (enum intercept_side)side) &&
			    !intercept_find(gateway->intercept, dev))
				result = intercept_attach(gateway->intercept, dev,
							  (enum intercept_side)side, error);
		}
	}
	return result;
}

/* Detaches from what the configuration no longer names. */
static void detach_old(struct gateway *gateway, const struct gateway_config *config)
{
	const struct gateway_config *before = gateway->config;
	char error[INTERCEPT_ERROR_MAX];

	for (size_t i = 0; i < before->lan_count; i++)
		if (!is_listed(config, before->lan[i], SIDE_LAN))
			intercept_detach(gateway->intercept, before->lan[i], error);
	for (size_t i = 0; i < before->wan_count; i++)
		if (!is_listed(config, before->wan[i], SIDE_WAN))
			intercept_detach(gateway->intercept, before->wan[i], error);
}

static void note_restart(const struct gateway_config *old, const struct gateway_config *new)
{
	if (relay_count(old) != relay_count(new) || old->engine != new->engine ||
	    old->max_proxies != new->max_proxies || old->max_ports != new->max_ports ||
	    old->half_open != new->half_open ||
	    old->half_open_per_client != new->half_open_per_client ||
	    strcmp(relay_user(old), relay_user(new)) != 0)
		log_notice("workers, user, engine, max-* and half-open* take effect at the next "
			   "start");
}

int gateway_reload(struct gateway *gateway, char *error)
{
	struct gateway_config *config;
	int result = gateway_config_load(gateway->options.config_path, &config, stderr);

	if (result) {
		snprintf(error, GATEWAY_ERROR_MAX,
			 "%.200s: not reloaded, the old configuration stays in force",
			 gateway->options.config_path);
		return result;
	}
	result = registrar_process_listen(gateway->registrar, &config->registrar, error);
	result = result ?: attach_new(gateway, config, error);
	if (result) {
		gateway_config_free(config);
		return result;
	}
	result = registry_apply(gateway->registry, config, error);
	if (registrations_apply(&gateway->registrations, config) && !result) {
		result = -ENOMEM;
		snprintf(error, GATEWAY_ERROR_MAX, "out of memory");
	}
	registrar_process_apply(gateway->registrar, gateway->config, config);
	detach_old(gateway, config);
	note_restart(gateway->config, config);
	gateway_config_free(gateway->config);
	gateway->config = config;
	if (!gateway->stopping) {
		gateway->draining = false;
		intercept_set_accepting(gateway->intercept, true);
	}
	log_notice("reloaded: %zu ports on %zu proxies", registry_port_count(gateway->registry),
		   registry_proxy_count(gateway->registry));
	return result;
}
