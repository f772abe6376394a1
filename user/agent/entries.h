/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the agent wants registered at one gateway, and how far each is: one entry
 * for every address and service. session.c does the talking.
 */
#ifndef SLUICE_AGENT_ENTRIES_H
#define SLUICE_AGENT_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent_config.h"

#define ENTRY_REFUSAL_MAX 208

enum entry_state {
	ENTRY_NEW, /* to be registered */
	ENTRY_ASKED, /* registration is under way */
	ENTRY_HELD, /* registered */
	ENTRY_REFUSED, /* tried again later */
	ENTRY_WITHDRAW, /* to be withdrawn */
	ENTRY_WITHDRAWING, /* withdrawal is under way */
	ENTRY_GONE, /* removed at the next opportunity */
};

struct entry {
	uint8_t address[16];
	uint16_t service_port;
	uint16_t trunk_port;
	bool nexthop;
	bool ends_trunk;
	bool wanted; /* by the configuration that is being applied */
	bool registered; /* as it is, or as it was when it was asked for before */
	enum entry_state state;
	struct wan_params params;
	uint64_t id; /* of the last request */
	char refusal[ENTRY_REFUSAL_MAX]; /* what the log was told of it; "" nothing */
};

/* All zero is empty. */
struct entries {
	struct entry *list; /* owned */
	size_t count, room;
	bool may_ask; /* some entry is to be registered or withdrawn */
};

void entries_free(struct entries *entries);

/* Makes the wanted entries those of a configuration; NULL: none. 0 or -ENOMEM. */
int entries_want(struct entries *entries, const struct agent_config *config);

/* The next one to ask for, withdrawals first, or NULL. */
struct entry *entries_next(struct entries *entries);

/* Its request is on its way. */
void entries_asked(struct entries *entries, struct entry *entry);

/* The answer to request id; refusal: why not, or NULL. gateway is for the log. Of a
 * change that is refused nothing must be left: what was registered before is to be
 * withdrawn. Returns the entry that was asked for, or NULL: there is none any more. */
const struct entry *entries_answered(struct entries *entries, uint64_t id, const char *refusal,
				     const char *gateway);

/* All that is wanted is to be asked for again, what is not needs no withdrawal. */
void entries_reset(struct entries *entries);

/* The gateway has withdrawn some, and does not say which: all that is wanted is to be
 * asked for again. */
void entries_ask_again(struct entries *entries);

/* Those that were refused are to be asked for once more. */
void entries_try_refused(struct entries *entries);

/* Nothing is to be asked for, nor under way. */
bool entries_are_settled(const struct entries *entries);

#endif
