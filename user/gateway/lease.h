/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whose an entry is that an agent registered, and how long it lives. Written by
 * registrations.c; the registry counts the entries that refer to a lease.
 */
#ifndef SLUICE_LEASE_H
#define SLUICE_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway_config.h"
#include "list.h"
#include "registration.h"

/* A policy's name through all reloads. Lives as long as the daemon: entries that
 * drain still tell whose they were. */
struct identity {
	struct list link;
	char name[IDENTITY_NAME_MAX];
	const struct policy_config *policy; /* in the configuration in force; NULL: gone from it */
	uint64_t flows; /* alive, by all entries of this identity */
	bool full; /* as many as the policy allows */
	uint32_t param_sets; /* entries of param_table that were made for it */
	uint32_t rtt_us; /* stands in for a rtt that an agent does not give; 0: none yet */
};

/* What one connection of an agent has registered. */
struct lease {
	struct list link;
	struct identity *identity;
	uint64_t connection; /* number in the registrar; 0 once that connection is gone */
	uint64_t expires_us; /* CLOCK_MONOTONIC */
	size_t ports; /* entries that refer to it, draining ones included */
	bool lapsed; /* entries were withdrawn without its agent knowing */
	char agent[AGENT_VERSION_MAX];
	struct path_report path; /* as of the last message */
};

#endif
