// SPDX-License-Identifier: GPL-2.0
/* See registrations.h. */
#include "registrations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "log.h"
#include "params.h"

/* A new connection's round trip must differ from the known one by more than one
 * part in so many to take its place: it makes new parameters of all entries. */
#define RTT_DIFFERS 4

/* Leases at once: those of the connections there can be, and as many that run out. */
#define LEASES_MAX 8192

/* A round trip that no path has is a mistake of measurement. */
#define RTT_MAX_US 60000000U

void registrations_init(struct registrations *registrations, struct registry *registry)
{
	*registrations = (struct registrations){ .registry = registry };
	list_init(&registrations->identities);
	list_init(&registrations->leases);
}

void registrations_free(struct registrations *registrations)
{
	while (!list_empty(&registrations->leases)) {
		struct lease *lease = list_entry(registrations->leases.next, struct lease, link);

		list_remove(&lease->link);
		free(lease);
	}
	while (!list_empty(&registrations->identities)) {
		struct identity *identity = list_entry(registrations->identities.next,
						       struct identity, link);

		list_remove(&identity->link);
		free(identity);
	}
}

/* ---- identities ---- */

static struct identity *find_identity(struct registrations *registrations, const char *name)
{
	struct list *list = &registrations->identities;

	for (struct list *link = list->next; link != list; link = link->next) {
		struct identity *identity = list_entry(link, struct identity, link);

		if (strcmp(identity->name, name) == 0)
			return identity;
	}
	return NULL;
}

static struct identity *get_identity(struct registrations *registrations, const char *name)
{
	struct identity *identity = find_identity(registrations, name);

	if (identity)
		return identity;
	identity = calloc(1, sizeof(*identity));
	if (!identity)
		return NULL;
	snprintf(identity->name, sizeof(identity->name), "%s", name);
	list_append(&registrations->identities, &identity->link);
	return identity;
}

static bool is_revoked(const struct registry *registry, const struct port_entry *port,
		       const void *subject)
{
	const struct policy_config *policy = port->lease->identity->policy;

	(void)registry;
	(void)subject;
	return !policy ||
	       !prefixes_hold(policy->addresses, policy->address_count, port->proxy->address) ||
	       !port_ranges_hold(policy->ports, policy->port_count, port->service_port);
}

int registrations_apply(struct registrations *registrations, const struct gateway_config *config)
{
	struct list *list = &registrations->identities;
	int result = 0;

	registrations->config = config;
	for (struct list *link = list->next; link != list; link = link->next)
		list_entry(link, struct identity, link)->policy = NULL;
	for (size_t i = 0; i < config->policy_count; i++) {
		struct identity *identity = get_identity(registrations, config->policies[i].name);

		if (identity)
			identity->policy = &config->policies[i];
		else
			result = -ENOMEM;
	}
	registrations->counters.revoked += registry_withdraw_leased(registrations->registry,
								    is_revoked, NULL);
	return result;
}

/* ---- leases ---- */

static struct lease *find_lease(struct registrations *registrations, uint64_t connection)
{
	struct list *list = &registrations->leases;

	for (struct list *link = list->next; link != list; link = link->next) {
		struct lease *lease = list_entry(link, struct lease, link);

		if (lease->connection == connection)
			return lease;
	}
	return NULL;
}

static struct lease *open_lease(struct registrations *registrations,
				const struct registrar_request *request, uint64_t now_us)
{
	const char *name = registrations->config->policies[request->identity].name;
	struct identity *identity = find_identity(registrations, name);
	struct lease *lease = NULL;

	if (identity && registrations->lease_count < LEASES_MAX)
		lease = calloc(1, sizeof(*lease));
	if (!lease)
		return NULL;
	registrations->lease_count++;
	lease->identity = identity;
	lease->connection = request->connection;
	lease->expires_us = now_us + registrations->config->registrar.lease_s * 1000000ULL;
	memcpy(lease->agent, request->agent, sizeof(lease->agent) - 1);
	list_append(&registrations->leases, &lease->link);
	return lease;
}

static size_t services_of(const struct registrations *registrations,
			  const struct identity *identity)
{
	const struct list *list = &registrations->leases;
	size_t services = 0;

	for (const struct list *link = list->next; link != list; link = link->next) {
		const struct lease *lease = list_entry(link, struct lease, link);

		services += lease->identity == identity ? lease->ports : 0;
	}
	return services;
}

/* What stands in for a rtt that an agent does not give. */
static void learn_rtt(struct identity *identity, const struct path_report *path)
{
	uint32_t measured = path->min_rtt_us ?: path->rtt_us, known = identity->rtt_us;
	uint32_t difference = measured > known ? measured - known : known - measured;

	if (measured > 0 && measured <= RTT_MAX_US && difference > known / RTT_DIFFERS)
		identity->rtt_us = measured;
}

static void renew(struct registrations *registrations, struct lease *lease, uint64_t now_us)
{
	lease->expires_us = now_us + registrations->config->registrar.lease_s * 1000000ULL;
}

/* ---- requests ---- */

/* As bytes from another process: nothing out of range, nothing between the fields. */
static bool is_well_formed(const struct registrar_request *request)
{
	static const __u8 zero[sizeof(request->reserved)];

	return request->nexthop <= 1 && request->ends_trunk <= 1 &&
	       memcmp(request->reserved, zero, sizeof(zero)) == 0 &&
	       memchr(request->agent, '\0', sizeof(request->agent)) != NULL;
}

enum refusal registration_check(const struct registrar_request *request,
				const struct policy_config *policy, char *text)
{
	char address[INET6_ADDRSTRLEN];

	address_format(request->address, address);
	if (!is_well_formed(request) || !params_are_possible(&request->params)) {
		snprintf(text, REFUSAL_TEXT_MAX, "malformed request");
		return REFUSED_params;
	}
	if (!address_is_unicast(request->address)) {
		snprintf(text, REFUSAL_TEXT_MAX, "%s is not an address that a remote can have",
			 address);
		return REFUSED_address;
	}
	if (!prefixes_hold(policy->addresses, policy->address_count, request->address)) {
		snprintf(text, REFUSAL_TEXT_MAX,
			 "address %s is outside the addresses of policy \"%.60s\"", address,
			 policy->name);
		return REFUSED_address;
	}
	if (request->trunk_port == 0 ||
	    !port_ranges_hold(policy->ports, policy->port_count, request->service_port)) {
		snprintf(text, REFUSAL_TEXT_MAX, "port %u is outside the ports of policy \"%.60s\"",
			 request->service_port, policy->name);
		return REFUSED_port;
	}
	return REFUSED_NOT;
}

static const struct port_entry *find_port(const struct registrations *registrations,
					  const struct registrar_request *request)
{
	const struct proxy_entry *proxy = registry_find_proxy(registrations->registry,
							      request->address);

	return proxy ? registry_find_port(proxy, request->service_port) : NULL;
}

static bool is_theirs(const struct port_entry *port, const struct lease *lease)
{
	return port && !port_is_draining(port) && port->lease &&
	       port->lease->identity == lease->identity;
}

/* What the agent has left open comes from the path of its connection. */
static enum refusal complete_params(const struct registrations *registrations,
				    const struct lease *lease, struct wan_params *params,
				    char *text)
{
	char error[PARAMS_ERROR_MAX];

	if (params->rtt_us == 0)
		params->rtt_us = lease->identity->rtt_us;
	if (params_check(params, error) < 0) {
		snprintf(text, REFUSAL_TEXT_MAX, "%.150s", error);
		return REFUSED_params;
	}
	if (params->source == SOURCE_CLIENT && registrations->config->wan_count == 0) {
		snprintf(text, REFUSAL_TEXT_MAX,
			 "source = client: this gateway names no wan interface for it");
		return REFUSED_params;
	}
	return REFUSED_NOT;
}

static enum refusal enter(struct registrations *registrations, struct lease *lease,
			  const struct registrar_request *request, struct registrar_answer *answer)
{
	struct registration registration = { .nexthop = request->nexthop,
					     .trunk_ended = request->ends_trunk,
					     .service_port = request->service_port,
					     .trunk_port = request->trunk_port,
					     .params = request->params,
					     .origin = ORIGIN_AGENT,
					     .lease = lease };
	char error[REGISTRY_ERROR_MAX];
	enum refusal refusal = complete_params(registrations, lease, &registration.params,
					       answer->text);
	int result;

	if (refusal)
		return refusal;
	memcpy(registration.address, request->address, sizeof(registration.address));
	result = registry_add(registrations->registry, &registration, error);
	if (!result) {
		answer->rtt_us = registration.params.rtt_us;
		return REFUSED_NOT;
	}
	snprintf(answer->text, REFUSAL_TEXT_MAX, "%.150s", error);
	if (result == -EOPNOTSUPP)
		return REFUSED_params;
	return result == -EEXIST || result == -EINVAL ? REFUSED_taken : REFUSED_room;
}

static enum refusal do_register(struct registrations *registrations, struct lease *lease,
				const struct registrar_request *request, uint64_t now_us,
				struct registrar_answer *answer)
{
	const struct identity *identity = lease->identity;
	enum refusal refusal = registration_check(request, identity->policy, answer->text);
	bool known = is_theirs(find_port(registrations, request), lease);
	char endpoint[ENDPOINT_TEXT_MAX];

	if (refusal)
		return refusal;
	if (!known && services_of(registrations, identity) >= REGISTRATIONS_PER_IDENTITY) {
		snprintf(answer->text, REFUSAL_TEXT_MAX, "more than %d services of one identity",
			 REGISTRATIONS_PER_IDENTITY);
		return REFUSED_room;
	}
	if (!known && identity->full) {
		snprintf(answer->text, REFUSAL_TEXT_MAX,
			 "identity \"%.60s\" has the %u flows that its policy allows",
			 identity->name, identity->policy->max_flows);
		return REFUSED_flows;
	}
	learn_rtt(lease->identity, &request->path);
	refusal = enter(registrations, lease, request, answer);
	if (refusal)
		return refusal;
	renew(registrations, lease, now_us);
	endpoint_format(request->address, request->service_port, endpoint);
	log_debug("%s %s by %s", endpoint, known ? "registered again" : "registered",
		  identity->name);
	if (known)
		registrations->counters.changed++;
	else
		registrations->counters.registered++;
	return REFUSED_NOT;
}

/* To withdraw what is not there is no mistake: it may have expired meanwhile. */
static enum refusal do_withdraw(struct registrations *registrations, const struct lease *lease,
				const struct registrar_request *request, char *text)
{
	char error[REGISTRY_ERROR_MAX];

	if (!is_theirs(find_port(registrations, request), lease))
		return REFUSED_NOT;
	if (registry_withdraw(registrations->registry, request->address, request->service_port,
			      error)) {
		snprintf(text, REFUSAL_TEXT_MAX, "%.150s", error);
		return REFUSED_room;
	}
	registrations->counters.withdrawn++;
	return REFUSED_NOT;
}

static void count_refusal(struct registrar_counters *counters, enum refusal refusal)
{
	switch (refusal) {
#define COUNT_REFUSAL(name, description)    \
	case REFUSED_##name:                \
		counters->refused_##name++; \
		break;
		REGISTRATION_REFUSALS(COUNT_REFUSAL)
#undef COUNT_REFUSAL
	case REFUSED_NOT:
	case REFUSAL_COUNT:
		break;
	}
}

static enum refusal answer_request(struct registrations *registrations,
				   const struct registrar_request *request, uint64_t now_us,
				   struct registrar_answer *answer)
{
	struct lease *lease = find_lease(registrations, request->connection);

	/* Its lease ran out while the connection was slow, or was never opened. */
	if (!lease)
		lease = open_lease(registrations, request, now_us);
	if (!lease) {
		snprintf(answer->text, REFUSAL_TEXT_MAX, "too many leases: try again later");
		return REFUSED_room;
	}
	if (!lease->identity->policy) {
		snprintf(answer->text, REFUSAL_TEXT_MAX, "this identity has no policy any more");
		return REFUSED_address;
	}
	lease->path = request->path;
	if (request->type == REGISTRAR_REGISTER)
		return do_register(registrations, lease, request, now_us, answer);
	if (request->type == REGISTRAR_WITHDRAW)
		return do_withdraw(registrations, lease, request, answer->text);
	renew(registrations, lease, now_us);
	if (lease->lapsed) { /* told once: what is registered now is what there is */
		lease->lapsed = false;
		snprintf(answer->text, REFUSAL_TEXT_MAX,
			 "some services were withdrawn: register again");
		return REFUSED_lease;
	}
	registrations->counters.renewed++;
	return REFUSED_NOT;
}

int registrations_request(struct registrations *registrations,
			  const struct registrar_request *request, uint64_t now_us,
			  struct registrar_answer *answer)
{
	struct lease *lease;

	if (request->identity >= registrations->config->policy_count || request->connection == 0 ||
	    !is_well_formed(request))
		return -EPROTO;
	lease = find_lease(registrations, request->connection);
	switch (request->type) {
	case REGISTRAR_OPENED:
		if (!lease)
			open_lease(registrations, request, now_us);
		return 0;
	case REGISTRAR_CLOSED:
		if (lease)
			lease->connection = 0;
		return 0;
	case REGISTRAR_REGISTER:
	case REGISTRAR_WITHDRAW:
	case REGISTRAR_RENEW:
		break;
	default:
		return -EPROTO;
	}
	*answer = (struct registrar_answer){ .connection = request->connection, .id = request->id };
	answer->refusal = answer_request(registrations, request, now_us, answer);
	count_refusal(&registrations->counters, answer->refusal);
	return 1;
}

void registrations_disconnect(struct registrations *registrations)
{
	struct list *list = &registrations->leases;

	for (struct list *link = list->next; link != list; link = link->next)
		list_entry(link, struct lease, link)->connection = 0;
}

/* ---- the end of leases ---- */

static bool is_expired(const struct registry *registry, const struct port_entry *port,
		       const void *now_us)
{
	(void)registry;
	return port->lease->expires_us <= *(const uint64_t *)now_us;
}

static bool has_limits(const struct gateway_config *config)
{
	for (size_t i = 0; i < config->policy_count; i++)
		if (config->policies[i].max_flows)
			return true;
	return false;
}

static void count_flows(struct registrations *registrations)
{
	struct list *list = &registrations->identities;
	bool limited = has_limits(registrations->config);

	/* Once more after the last limit went, to let all in again. */
	if (!limited && !registrations->limited)
		return;
	registrations->limited = limited;
	for (struct list *link = list->next; link != list; link = link->next) {
		list_entry(link, struct identity, link)->flows = 0;
		list_entry(link, struct identity, link)->full = false;
	}
	registry_count_flows(registrations->registry);
}

void registrations_sweep(struct registrations *registrations, uint64_t now_us)
{
	struct list *list = &registrations->leases, *link = list->next;
	size_t expired;
	bool any = false;

	for (; link != list; link = link->next) {
		struct lease *lease = list_entry(link, struct lease, link);

		any |= lease->ports > 0 && lease->expires_us <= now_us;
	}
	expired = any ? registry_withdraw_leased(registrations->registry, is_expired, &now_us) : 0;
	if (expired)
		log_info("%zu services were not renewed in time: withdrawn", expired);
	registrations->counters.expired += expired;
	for (link = list->next; link != list;) {
		struct lease *lease = list_entry(link, struct lease, link);

		link = link->next;
		if (lease->ports == 0 && (lease->connection == 0 || lease->expires_us <= now_us)) {
			list_remove(&lease->link);
			free(lease);
			registrations->lease_count--;
		}
	}
	count_flows(registrations);
}
