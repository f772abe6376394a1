// SPDX-License-Identifier: GPL-2.0
/* See relay.h. */
#include "relay.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"
#include "kernel_engine.h"
#include "relay_flow.h"

#define SWEEP_NS 1000000000ULL
#define EVENTS_PER_TURN 256
#define RESERVED_DESCRIPTORS (2 * PIPE_POOL_MAX + 64)

int relay_watch(struct relay *relay, int fd, uint32_t events, struct watch *watch)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	return epoll_ctl(relay->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void relay_rewatch(struct relay *relay, int fd, uint32_t events, struct watch *watch)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	epoll_ctl(relay->epoll, EPOLL_CTL_MOD, fd, &event);
}

static void read_clock(struct relay *relay)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	relay->now_ns = (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* Two descriptors a flow; what is left over is for pipes and everything else. */
static uint64_t flow_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur <= RESERVED_DESCRIPTORS)
		return 1;
	return (files.rlim_cur - RESERVED_DESCRIPTORS) / 2;
}

int relay_init(struct relay *relay, const struct relay_front *front,
	       struct relay_counters *counters)
{
	relay->front = front;
	relay->counters = counters;
	list_init(&relay->flows);
	list_init(&relay->runnable);
	list_init(&relay->soon);
	list_init(&relay->ended);
	pipe_pool_init(&relay->pipes);
	relay->flow_limit = flow_limit();
	read_clock(relay);
	relay->epoll = epoll_create1(EPOLL_CLOEXEC);
	return relay->epoll < 0 ? -errno : 0;
}

/* Deadlines and idle time-outs, once a second. */
static void sweep(struct relay *relay)
{
	struct list *link = relay->flows.next;

	relay->next_sweep_ns = relay->now_ns + SWEEP_NS;
	while (link != &relay->flows) {
		struct relay_flow *flow = list_entry(link, struct relay_flow, link);

		link = link->next;
		relay->front->check(flow);
		flow_check(flow);
	}
}

/* Flows whose share of an earlier turn was used up. */
static void run_runnable(struct relay *relay)
{
	struct list *last = relay->runnable.previous;

	while (!list_empty(&relay->runnable)) {
		struct list *link = relay->runnable.next;
		bool was_last = link == last;

		engine_run(list_entry(link, struct relay_flow, run_link));
		if (was_last)
			break;
	}
}

/* Flows whose time has come. */
static void run_soon(struct relay *relay)
{
	struct list *link = relay->soon.next;

	while (link != &relay->soon) {
		struct relay_flow *flow = list_entry(link, struct relay_flow, soon_link);

		link = link->next;
		if (flow->soon_ns > relay->now_ns)
			continue;
		list_remove(&flow->soon_link);
		engine_run(flow);
	}
}

/* Nanoseconds until something has to be done, but not more than so many. */
static uint64_t time_to_wait(const struct relay *relay, uint64_t most_ns)
{
	if (!list_empty(&relay->runnable))
		return 0;
	for (const struct list *link = relay->soon.next; link != &relay->soon; link = link->next) {
		const struct relay_flow *flow = list_entry(link, struct relay_flow, soon_link);
		uint64_t wait_ns = flow->soon_ns > relay->now_ns ? flow->soon_ns - relay->now_ns
								 : 0;

		if (wait_ns < most_ns)
			most_ns = wait_ns;
	}
	return most_ns;
}

static void free_ended(struct relay *relay)
{
	while (!list_empty(&relay->ended)) {
		struct relay_flow *flow = list_entry(relay->ended.next, struct relay_flow, link);

		list_remove(&flow->link);
		relay->front->free(flow);
	}
}

void relay_turn(struct relay *relay, int timeout_ms, void (*tick)(struct relay *relay))
{
	struct epoll_event events[EVENTS_PER_TURN];
	uint64_t wait_ns = time_to_wait(relay, (uint64_t)timeout_ms * 1000000);
	struct timespec wait = { .tv_sec = (time_t)(wait_ns / 1000000000),
				 .tv_nsec = (long)(wait_ns % 1000000000) };
	int count = epoll_pwait2(relay->epoll, events, EVENTS_PER_TURN, &wait, NULL);

	relay->busy = count;
	read_clock(relay);
	if (tick)
		tick(relay);
	for (int i = 0; i < count; i++) {
		struct watch *watch = events[i].data.ptr;

		watch->ready(watch, events[i].events);
	}
	run_runnable(relay);
	run_soon(relay);
	if (relay->now_ns >= relay->next_sweep_ns)
		sweep(relay);
	free_ended(relay);
}

void relay_free(struct relay *relay)
{
	free_ended(relay);
	kernel_engine_close(relay);
	pipe_pool_free(&relay->pipes);
	close(relay->epoll);
}
