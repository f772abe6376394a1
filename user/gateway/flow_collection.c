// SPDX-License-Identifier: GPL-2.0
/* Collecting the flows of all relays for one question; part of the supervisor. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "supervisor_private.h"

/* A relay that is stopped or overloaded must not hold up the answer for ever. */
#define FLOWS_TIMEOUT_US (2 * 1000000ULL)

struct flow_collection {
	struct list link;
	struct supervisor *supervisor;
	uint32_t cookie;
	uint64_t waiting; /* bit mask of relays */
	struct flow_record *records;
	size_t count, room;
	bool out_of_memory;
	sd_event_source *timer;
	flows_handler *handler;
	void *context;
};

_Static_assert(SLUICE_MAX_RELAYS <= 64, "flow_collection.waiting has a bit per relay");

static void start(struct flow_collection *collection);

/* A relay makes one list at a time: the next question is asked when the one
 * before is answered. */
static void start_first(struct supervisor *supervisor)
{
	if (!list_empty(&supervisor->collections))
		start(list_entry(supervisor->collections.next, struct flow_collection, link));
}

static void end(struct flow_collection *collection)
{
	struct supervisor *supervisor = collection->supervisor;

	list_remove(&collection->link);
	sd_event_source_disable_unref(collection->timer);
	if (collection->out_of_memory) {
		free(collection->records);
		collection->handler(NULL, 0, collection->context);
	} else {
		collection->handler(collection->records, collection->count, collection->context);
	}
	free(collection);
	start_first(supervisor);
}

static int timed_out(sd_event_source *source, uint64_t now_us, void *context)
{
	(void)source;
	(void)now_us;
	end(context);
	return 0;
}

static void add(struct flow_collection *collection, const struct channel_message *message)
{
	size_t wanted = collection->count + message->header.count;

	if (collection->room < wanted || !collection->records) {
		size_t room = wanted * 2 + CHANNEL_BATCH;
		void *records = realloc(collection->records, room * sizeof(*collection->records));

		if (!records) {
			collection->out_of_memory = true;
			return;
		}
		collection->records = records;
		collection->room = room;
	}
	memcpy(&collection->records[collection->count], message->records,
	       message->header.count * sizeof(message->records[0]));
	collection->count = wanted;
}

static void relay_done(struct flow_collection *collection, unsigned relay)
{
	collection->waiting &= ~(1ULL << relay);
	if (collection->waiting == 0)
		end(collection);
}

/* The one that relays are asked for, if this relay still owes its part; or NULL. */
static struct flow_collection *asked_of(struct supervisor *supervisor,
					const struct relay_process *relay)
{
	struct flow_collection *first;

	if (list_empty(&supervisor->collections))
		return NULL;
	first = list_entry(supervisor->collections.next, struct flow_collection, link);
	return first->waiting & 1ULL << relay->index ? first : NULL;
}

void flow_collection_message(struct supervisor *supervisor, const struct relay_process *relay,
			     const struct channel_message *message)
{
	struct flow_collection *collection = asked_of(supervisor, relay);

	if (!collection || collection->cookie != message->header.cookie)
		return;
	if (message->header.type == CHANNEL_FLOWS)
		add(collection, message);
	else
		relay_done(collection, relay->index);
}

void flow_collection_relay_gone(struct supervisor *supervisor, const struct relay_process *relay)
{
	struct flow_collection *collection = asked_of(supervisor, relay);

	if (collection)
		relay_done(collection, relay->index);
}

void flow_collection_end_all(struct supervisor *supervisor)
{
	while (!list_empty(&supervisor->collections))
		end(list_entry(supervisor->collections.next, struct flow_collection, link));
}

static void start(struct flow_collection *collection)
{
	struct supervisor *supervisor = collection->supervisor;
	struct channel_header request = { .type = CHANNEL_LIST, .cookie = collection->cookie };

	for (unsigned i = 0; i < supervisor->options.relays; i++) {
		struct relay_process *relay = &supervisor->relays[i];

		if (relay->phase == RELAY_SERVING &&
		    send(relay->channel, &request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL) ==
			    sizeof(request))
			collection->waiting |= 1ULL << i;
	}
	sd_event_source_set_time_relative(collection->timer, FLOWS_TIMEOUT_US);
	sd_event_source_set_enabled(collection->timer, SD_EVENT_ONESHOT);
	if (collection->waiting == 0)
		end(collection);
}

int supervisor_list_flows(struct supervisor *supervisor, flows_handler *handler, void *context)
{
	struct flow_collection *collection = calloc(1, sizeof(*collection));
	bool first = list_empty(&supervisor->collections);
	int result;

	if (!collection)
		return -ENOMEM;
	collection->supervisor = supervisor;
	collection->cookie = ++supervisor->next_cookie;
	collection->handler = handler;
	collection->context = context;
	result = sd_event_add_time_relative(supervisor->options.event, &collection->timer,
					    CLOCK_MONOTONIC, FLOWS_TIMEOUT_US, 0, timed_out,
					    collection);
	if (result < 0) {
		free(collection);
		return result;
	}
	sd_event_source_set_enabled(collection->timer, SD_EVENT_OFF);
	list_append(&supervisor->collections, &collection->link);
	if (first)
		start(collection);
	return 0;
}
