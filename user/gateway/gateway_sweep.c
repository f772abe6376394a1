// SPDX-License-Identifier: GPL-2.0
/* What is looked for twice a second: entries and ways in that have drained, leases
 * that have run out, a stop that is due. */
#include <string.h>
#include <time.h>

#include "gateway_loop.h"
#include "log.h"
#include "routing.h"
#include "time_wait.h"

#define SWEEP_US 500000ULL

/* Some SYN was just kept from being forwarded: it is not known by which leg. */
static bool is_any_leg(const uint8_t address[16], uint16_t port, const void *context)
{
	(void)address;
	(void)port;
	(void)context;
	return true;
}

/* A leg whose remote's packets are forwarded from now on. */
static bool is_old_leg(const uint8_t address[16], uint16_t port_number, const void *context)
{
	const struct gateway *gateway = context;
	const struct proxy_entry *proxy;
	const struct port_entry *port;

	proxy = registry_find_proxy(gateway->registry, address);
	if (!proxy) /* it may have come by a next-hop entry */
		return registry_nexthop_count(gateway->registry) == 0;
	port = registry_find_port(proxy, port_number);
	return !port || port_is_draining(port);
}

void gateway_remove_old_legs(struct gateway *gateway)
{
	uint64_t removals = registry_removals(gateway->registry);
	uint32_t met = intercept_old_legs_met(gateway->intercept);
	bool all = gateway->draining || met != gateway->old_legs_met;
	int result;

	if (!all && removals == gateway->removals)
		return;
	gateway->removals = removals;
	gateway->old_legs_met = met;
	result = time_wait_remove(all ? is_any_leg : is_old_leg, gateway);
	if (result)
		log_debug("old legs in TIME_WAIT stay: %s", strerror(-result));
}

/* After a switch of ways: the last connection of the other one has ended. */
static void end_other_way(struct gateway *gateway)
{
	enum way_in other = intercept_way(gateway->intercept) == WAY_TC ? WAY_XDP : WAY_TC;

	if (!gateway->other_way_runs || supervisor_way_flows(gateway->supervisor, other) > 0)
		return;
	gateway->other_way_runs = false;
	intercept_end_other_way(gateway->intercept);
	/* What is left of policy routing is for legs with their client's address. */
	if (other == WAY_TC && gateway->config->wan_count == 0) {
		routing_remove();
		gateway->routing = false;
	}
}

static int on_sweep(sd_event_source *source, uint64_t now_us, void *context)
{
	struct gateway *gateway = context;

	registry_sweep(gateway->registry);
	gateway_remove_old_legs(gateway);
	if (supervisor_flows(gateway->supervisor) == 0)
		intercept_detach_unwanted(gateway->intercept);
	end_other_way(gateway);
	intercept_read_addresses(gateway->intercept);
	if (gateway->tune)
		tune_keep_linkrate(gateway->tune);
	registrations_sweep(&gateway->registrations, now_us);
	if (gateway->stopping && supervisor_flows(gateway->supervisor) == 0)
		return sd_event_exit(gateway->event, 0);
	sd_event_source_set_time(source, now_us + SWEEP_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int gateway_add_sweep(struct gateway *gateway)
{
	int result = sd_event_add_time_relative(gateway->event, &gateway->sweep_timer,
						CLOCK_MONOTONIC, SWEEP_US, 0, on_sweep, gateway);

	return result < 0 ? result : 0;
}
