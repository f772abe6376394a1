// SPDX-License-Identifier: GPL-2.0
/* Starting the gateway, and undoing it in reverse; see gateway.h. */
#include "gateway.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "file_limit.h"
#include "gateway_loop.h"
#include "log.h"
#include "mptcp.h"
#include "namespace_lock.h"
#include "privileges.h"
#include "registry_params.h"
#include "requests.h"
#include "routing.h"

/* Flows that the kernel carries, of all relays, at most: a slot is 256 bytes of
 * memory that is there from the start. Further ones run by the splice engine. */
#define KERNEL_FLOWS_MAX 65536U

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

static void port_made(uint32_t port_id, void *context)
{
	const struct gateway *gateway = context;

	if (gateway->supervisor)
		supervisor_port_made(gateway->supervisor, port_id);
}

static void nexthop_changed(uint32_t count, void *context)
{
	const struct gateway *gateway = context;

	intercept_set_nexthop_entries(gateway->intercept, count);
}

static void listen_ports_changed(uint32_t count, void *context)
{
	const struct gateway *gateway = context;

	intercept_set_listen_ports(gateway->intercept, count);
}

static void on_all_serving(void *context)
{
	const struct gateway *gateway = context;

	log_notice("serving: %zu ports on %zu proxies, %u relays",
		   registry_port_count(gateway->registry), registry_proxy_count(gateway->registry),
		   supervisor_relay_count(gateway->supervisor));
	sd_notify(0, "READY=1");
}

unsigned gateway_relay_count(const struct gateway_config *config)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (config->workers)
		return config->workers;
	if (cpus < 1)
		return 1;
	return cpus > SLUICE_MAX_RELAYS ? SLUICE_MAX_RELAYS : (unsigned)cpus;
}

const char *gateway_relay_user(const struct gateway_config *config)
{
	if (config->user && config->user[0])
		return config->user;
	return getpwnam("sluice") ? "sluice" : "nobody";
}

int gateway_check(const struct gateway_config *config, char *error)
{
	if (!getpwnam(gateway_relay_user(config))) {
		snprintf(error, GATEWAY_ERROR_MAX,
			 "user = %.64s: there is no such user: create it, or name another one",
			 gateway_relay_user(config));
		return -ENOENT;
	}
	return (config->intercept == WAY_XDP ? xdp_program_check(error, GATEWAY_ERROR_MAX) : 0)
		       ?: registry_check(config, error);
}

static int lock_namespace(struct gateway *gateway, char *error)
{
	int result = namespace_lock();

	gateway->namespace_lock = result < 0 ? -1 : result;
	if (result == -EADDRINUSE)
		snprintf(error, GATEWAY_ERROR_MAX,
			 "another sluiced serves this network namespace: stop it first");
	else if (result < 0)
		snprintf(error, GATEWAY_ERROR_MAX, "lock: %s", strerror(-result));
	return result < 0 ? result : 0;
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

/* A host where sockets cannot be tuned can serve all the same: only parameters
 * that need it are refused. */
static void start_tuning(struct gateway *gateway)
{
	char error[TUNE_ERROR_MAX];

	if (tune_open(&gateway->tune, error))
		log_warning("%s; skip-slow-start and linkrate cannot be had", error);
	params_table_tuned(gateway->tune != NULL);
}

/* A kernel that fails the test serves all the same, by the splice engine. */
static void test_kernel_engine(struct gateway *gateway)
{
	gateway->kernel_engine = kernel_engine_test(gateway->kernel_engine_why) == 0;
	if (gateway->kernel_engine)
		log_debug("kernel engine: %s", gateway->kernel_engine_why);
	else
		log_warning("the kernel engine is not used: %s", gateway->kernel_engine_why);
}

/* Slots for the flows of a relay: two descriptors each is what it has, and all
 * relays together have KERNEL_FLOWS_MAX. */
static uint32_t kernel_flows(const struct gateway *gateway)
{
	uint32_t share = KERNEL_FLOWS_MAX / gateway_relay_count(gateway->config);
	struct rlimit files;

	if (!gateway->kernel_engine)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 2 < share)
		return (uint32_t)(files.rlim_cur / 2);
	return share;
}

/* Marked packets are those that tc takes: from the LAN, or what comes back to a
 * leg with its client's address. Legs of XDP need none of it. */
static int add_routing(struct gateway *gateway, const struct gateway_config *config, char *error)
{
	if (gateway->routing || (config->intercept == WAY_XDP && config->wan_count == 0))
		return 0;
	gateway->routing = true; /* also when only a part of it was added */
	return routing_add(error, GATEWAY_ERROR_MAX);
}

int gateway_set_way(struct gateway *gateway, const struct gateway_config *config, char *error)
{
	bool xdp = config->intercept == WAY_XDP;
	enum way_in before = intercept_way(gateway->intercept);
	int result = add_routing(gateway, config, error);

	result = result
			 ?: registry_use_listen_ports(gateway->registry,
						      xdp ? &config->listen_ports : NULL, error);
	result = result ?: intercept_set_way(gateway->intercept, config->intercept, error);
	if (!result && before != config->intercept)
		gateway->other_way_runs = true;
	return result;
}

static int start_tables(struct gateway *gateway, char *error)
{
	const struct gateway_config *config = gateway->config;
	struct intercept_options options = { .pin_dir = gateway->options.pin_dir,
					     .relays = gateway_relay_count(config),
					     .max_proxies = config->max_proxies,
					     .max_ports = config->max_ports,
					     .half_open = config->half_open,
					     .half_open_per_client = config->half_open_per_client,
					     .syn_rate = config->syn_rate };
	struct registry_options tables = { .max_ports = config->max_ports,
					   .flows_of = flows_of,
					   .port_made = port_made,
					   .nexthop_changed = nexthop_changed,
					   .listen_ports_changed = listen_ports_changed,
					   .context = gateway };
	struct intercept_maps maps;
	int result = intercept_load(&options, &gateway->intercept, error);

	if (result)
		return result;
	maps = intercept_maps(gateway->intercept);
	tables.proxy_table = maps.proxy_table;
	tables.port_table = maps.port_table;
	tables.param_table = maps.param_table;
	tables.listen_table = maps.listen_table;
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
	return gateway_set_way(gateway, config, error)
		       ?: registry_apply(gateway->registry, config, error);
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

static int start_metrics(struct gateway *gateway, char *error)
{
	int result = metrics_process_new(gateway, &gateway->metrics);

	if (result) {
		snprintf(error, GATEWAY_ERROR_MAX, "metrics: %s", strerror(-result));
		return result;
	}
	result = metrics_process_listen(gateway->metrics, &gateway->config->metrics, error);
	if (!result)
		metrics_process_apply(gateway->metrics, NULL, gateway->config);
	return result;
}

static int start_registrar(struct gateway *gateway, char *error)
{
	int result = registrar_process_new(gateway->event, &gateway->registrations,
					   gateway->empty_dir, &gateway->registrar);

	if (result) {
		snprintf(error, GATEWAY_ERROR_MAX, "out of memory");
		return result;
	}
	result = registrar_process_listen(gateway->registrar, &gateway->config->registrar, error);
	if (!result)
		registrar_process_apply(gateway->registrar, NULL, gateway->config);
	return result;
}

static void on_flow_ended(const struct flow_record *record, void *context)
{
	struct gateway *gateway = context;

	ended_flows_add(&gateway->ended, record, request_flow_identity(gateway, record));
}

static void on_flow_event(const struct trace_event *event, void *context)
{
	request_trace_event(context, event);
}

static int start_ended_flows(struct gateway *gateway, char *error)
{
	int result = ended_flows_init(&gateway->ended);
	struct flow_log *flow_log;

	if (result) {
		snprintf(error, GATEWAY_ERROR_MAX, "out of memory");
		return result;
	}
	result = ended_flows_prepare(&gateway->ended, gateway->config, gateway->event,
				     gateway_relay_user(gateway->config), &flow_log, error,
				     GATEWAY_ERROR_MAX);
	if (!result)
		ended_flows_apply(&gateway->ended, gateway->config, flow_log);
	return result;
}

static int start_relays(struct gateway *gateway, char *error)
{
	struct supervisor_options options = { .event = gateway->event,
					      .intercept = gateway->intercept,
					      .relays = gateway_relay_count(gateway->config),
					      .max_ports = gateway->config->max_ports,
					      .user = gateway_relay_user(gateway->config),
					      .engine = gateway->config->engine,
					      .kernel_flows = kernel_flows(gateway),
					      .socket_map = -1,
					      .flow_ended = on_flow_ended,
					      .flow_event = on_flow_event,
					      .all_serving = on_all_serving,
					      .context = gateway };
	int result;

	if (gateway->tune)
		options.socket_map = tune_socket_map(gateway->tune);
	result = supervisor_new(&options, &gateway->supervisor);
	if (result)
		snprintf(error, GATEWAY_ERROR_MAX, "relays cannot be started: %s",
			 strerror(-result));
	return result;
}

/* A router that forgot to be one: what is not taken would go nowhere. */
static void note_forwarding(const char *dev)
{
	char path[64], value = '1';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/forwarding", dev);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fread(&value, 1, 1, file) == 1 && value == '0')
		log_notice("%s: IPv4 is not forwarded here, so connections that are not taken go "
			   "nowhere: sysctl -w net.ipv4.ip_forward=1",
			   dev);
	fclose(file);
}

static int attach_all(struct gateway *gateway, char *error)
{
	const struct gateway_config *config = gateway->config;
	int result = 0;

	for (size_t i = 0; i < config->lan_count && !result; i++)
		result = intercept_attach(gateway->intercept, config->lan[i], SIDE_LAN, error);
	for (size_t i = 0; i < config->wan_count && !result; i++)
		result = intercept_attach(gateway->intercept, config->wan[i], SIDE_WAN, error);
	for (size_t i = 0; i < config->lan_count && !result; i++)
		note_forwarding(config->lan[i]);
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

static int start_loop(struct gateway *gateway)
{
	int result = gateway_add_signals(gateway);

	result = result ?: gateway_add_sweep(gateway);
	if (result)
		return result;
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
	gateway->namespace_lock = -1;
	/* Relays, registrar and whoever asks pass through what is made here. */
	umask(022);
	file_limit_raise();
	result = lock_namespace(gateway, error);
	if (result)
		return result;
	result = sd_event_default(&gateway->event);
	if (result >= 0)
		result = start_loop(gateway);
	if (result < 0) {
		snprintf(error, GATEWAY_ERROR_MAX, "event loop: %s", strerror(-result));
		return result;
	}
	sd_event_now(gateway->event, CLOCK_MONOTONIC, &gateway->started_us);
	result = make_run_dir(gateway, error);
	result = result ?: start_control(gateway, error);
	if (!result) {
		start_tuning(gateway);
		test_kernel_engine(gateway);
	}
	result = result ?: start_tables(gateway, error);
	result = result ?: start_ended_flows(gateway, error);
	result = result ?: start_relays(gateway, error);
	result = result ?: make_empty_dir(gateway, error);
	result = result ?: start_registrar(gateway, error);
	result = result ?: start_metrics(gateway, error);
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
	metrics_process_free(gateway->metrics);
	registrar_process_free(gateway->registrar);
	if (gateway->supervisor) {
		request_trace_end_all(gateway);
		supervisor_free(gateway->supervisor);
		gateway->draining = true;
		gateway_remove_old_legs(gateway);
	}
	control_server_free(gateway->control);
	ended_flows_free(&gateway->ended);
	registry_free(gateway->registry);
	if (gateway->registrations.registry)
		registrations_free(&gateway->registrations);
	intercept_free(gateway->intercept);
	tune_close(gateway->tune);
	mptcp_give_back();
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
	if (gateway->namespace_lock >= 0)
		close(gateway->namespace_lock);
}
