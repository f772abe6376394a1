// SPDX-License-Identifier: GPL-2.0
/* See entries.h. */
#include "entries.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "log.h"

void entries_free(struct entries *entries)
{
	free(entries->list);
	*entries = (struct entries){ 0 };
}

static void remove_gone(struct entries *entries)
{
	size_t kept = 0;

	for (size_t i = 0; i < entries->count; i++)
		if (entries->list[i].state != ENTRY_GONE)
			entries->list[kept++] = entries->list[i];
	entries->count = kept;
}

static struct entry *find(struct entries *entries, const struct entry *wanted)
{
	for (size_t i = 0; i < entries->count; i++) {
		struct entry *entry = &entries->list[i];

		if (entry->service_port == wanted->service_port &&
		    entry->nexthop == wanted->nexthop && entry->state != ENTRY_GONE &&
		    memcmp(entry->address, wanted->address, sizeof(entry->address)) == 0)
			return entry;
	}
	return NULL;
}

static void want(struct entries *entries, const struct entry *wanted)
{
	struct entry *entry = find(entries, wanted);
	bool registered;

	if (!entry) {
		entries->list[entries->count++] = *wanted;
		entries->may_ask = true;
		return;
	}
	entry->wanted = true;
	if (entry->trunk_port == wanted->trunk_port && entry->ends_trunk == wanted->ends_trunk &&
	    memcmp(&entry->params, &wanted->params, sizeof(entry->params)) == 0 &&
	    entry->state != ENTRY_WITHDRAW && entry->state != ENTRY_WITHDRAWING)
		return;
	registered = entry->registered;
	*entry = *wanted;
	entry->registered = registered;
	entries->may_ask = true;
}

static void want_all(struct entries *entries, const struct agent_config *config)
{
	for (size_t i = 0; i < config->address_count; i++)
		for (size_t j = 0; j < config->service_count; j++) {
			const struct agent_service *service = &config->services[j];
			struct entry wanted = { .service_port = service->service_port,
						.trunk_port = service->trunk_port,
						.nexthop = config->nexthop,
						.ends_trunk = service->ends_trunk,
						.wanted = true,
						.params = service->params };

			memcpy(wanted.address, config->addresses[i], sizeof(wanted.address));
			want(entries, &wanted);
		}
}

int entries_want(struct entries *entries, const struct agent_config *config)
{
	size_t room = config ? config->address_count * config->service_count : 0;
	struct entry *list;

	remove_gone(entries);
	room += entries->count;
	if (room > entries->room) {
		list = reallocarray(entries->list, room, sizeof(*list));
		if (!list)
			return -ENOMEM;
		entries->list = list;
		entries->room = room;
	}
	for (size_t i = 0; i < entries->count; i++)
		entries->list[i].wanted = false;
	if (config)
		want_all(entries, config);
	for (size_t i = 0; i < entries->count; i++) {
		struct entry *entry = &entries->list[i];

		if (entry->wanted || entry->state == ENTRY_WITHDRAWING)
			continue;
		entry->state = ENTRY_WITHDRAW;
		entries->may_ask = true;
	}
	return 0;
}

static struct entry *first_in(struct entries *entries, enum entry_state state)
{
	for (size_t i = 0; i < entries->count; i++)
		if (entries->list[i].state == state)
			return &entries->list[i];
	return NULL;
}

struct entry *entries_next(struct entries *entries)
{
	struct entry *entry = NULL;

	if (entries->may_ask)
		entry = first_in(entries, ENTRY_WITHDRAW) ?: first_in(entries, ENTRY_NEW);
	entries->may_ask = entry != NULL;
	return entry;
}

void entries_asked(struct entries *entries, struct entry *entry)
{
	(void)entries;
	if (entry->state == ENTRY_WITHDRAW) {
		entry->state = ENTRY_WITHDRAWING;
		entry->registered = false;
	} else {
		entry->state = ENTRY_ASKED;
	}
}

static void note_refusal(struct entry *entry, const char *refusal, const char *gateway)
{
	char endpoint[ENDPOINT_TEXT_MAX];

	if (strcmp(entry->refusal, refusal) == 0) /* told already */
		return;
	snprintf(entry->refusal, sizeof(entry->refusal), "%s", refusal);
	log_warning("gateway %s refuses %s: %s", gateway,
		    endpoint_format(entry->address, entry->service_port, endpoint), refusal);
}

const struct entry *entries_answered(struct entries *entries, uint64_t id, const char *refusal,
				     const char *gateway)
{
	char endpoint[ENDPOINT_TEXT_MAX];
	struct entry *entry = NULL;

	for (size_t i = 0; i < entries->count && !entry; i++)
		if (entries->list[i].id == id)
			entry = &entries->list[i];
	if (!entry)
		return NULL;
	endpoint_format(entry->address, entry->service_port, endpoint);
	if (entry->state == ENTRY_WITHDRAWING) {
		log_info("gateway %s: withdrawn %s", gateway, endpoint);
		entry->state = entry->wanted ? ENTRY_REFUSED : ENTRY_GONE;
	} else if (entry->state == ENTRY_ASKED && refusal) {
		entry->state = entry->registered ? ENTRY_WITHDRAW : ENTRY_REFUSED;
		entries->may_ask |= entry->registered;
		note_refusal(entry, refusal, gateway);
	} else if (entry->state == ENTRY_ASKED) {
		log_info("gateway %s: registered %s", gateway, endpoint);
		entry->state = ENTRY_HELD;
		entry->registered = true;
		entry->refusal[0] = '\0';
	}
	return entry;
}

void entries_reset(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++) {
		struct entry *entry = &entries->list[i];

		entry->state = entry->wanted ? ENTRY_NEW : ENTRY_GONE;
		entry->registered = false;
		entry->id = 0;
	}
	remove_gone(entries);
	entries->may_ask = entries->count > 0;
}

void entries_ask_again(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++) {
		struct entry *entry = &entries->list[i];

		if (entry->state == ENTRY_WITHDRAW || entry->state == ENTRY_WITHDRAWING ||
		    entry->state == ENTRY_GONE)
			continue;
		entry->state = ENTRY_NEW;
		entry->id = 0;
		entries->may_ask = true;
	}
}

void entries_try_refused(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		if (entries->list[i].state == ENTRY_REFUSED) {
			entries->list[i].state = ENTRY_NEW;
			entries->may_ask = true;
		}
}

bool entries_are_settled(const struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++) {
		enum entry_state state = entries->list[i].state;

		if (state != ENTRY_HELD && state != ENTRY_REFUSED && state != ENTRY_GONE)
			return false;
	}
	return true;
}
