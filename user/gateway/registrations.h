/* SPDX-License-Identifier: GPL-2.0 */
/*
 * main's side of registration: judges each request of the registrar against the
 * policies, enters it into the registry, and ends what is not renewed.
 */
#ifndef SLUICE_REGISTRATIONS_H
#define SLUICE_REGISTRATIONS_H

#include "counters.h"
#include "lease.h"
#include "registry.h"

struct registrations {
	struct registry *registry; /* borrowed */
	const struct gateway_config *config; /* the one in force; borrowed */
	struct list identities; /* struct identity */
	struct list leases; /* struct lease */
	size_t lease_count;
	bool limited; /* some identity has, or had at the last sweep, a limit of flows */
	struct registrar_counters counters; /* what main counts */
};

void registrations_init(struct registrations *registrations, struct registry *registry);

/* After the registry was freed. */
void registrations_free(struct registrations *registrations);

/* Takes over a new configuration: what its policies do not allow any more is
 * withdrawn. 0, or -ENOMEM. */
int registrations_apply(struct registrations *registrations, const struct gateway_config *config);

/*
 * Judges and carries out one request; now_us is CLOCK_MONOTONIC. Nothing in it is
 * trusted. 1: *answer is to be sent; 0: it takes none; -EPROTO: the registrar
 * could not have sent this, and is not to be listened to any more.
 */
int registrations_request(struct registrations *registrations,
			  const struct registrar_request *request, uint64_t now_us,
			  struct registrar_answer *answer);

/* The registrar is gone, and all connections with it. */
void registrations_disconnect(struct registrations *registrations);

/* Ends what was not renewed in time, and counts the identities' flows. */
void registrations_sweep(struct registrations *registrations, uint64_t now_us);

/* Whether a request's parameters, address and ports may be looked at at all:
 * REFUSED_NOT, or why not, with one line in text (REFUSAL_TEXT_MAX bytes). Knows
 * no state; the second thing that the fuzzer is let loose on. */
enum refusal registration_check(const struct registrar_request *request,
				const struct policy_config *policy, char *text);

#endif
