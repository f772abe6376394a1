// SPDX-License-Identifier: GPL-2.0
/* See trunk_flow.h. What is read here comes from the network. */
#include "trunk_flow.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "engine.h"
#include "log.h"

/* From accepting a connection to its header, which is its first segment; and for
 * a gateway that was told no to close. */
#define HEADER_DEADLINE_NS (10 * 1000000000ULL)

/* The application is on this host; the kernel gives up by itself (tcp_syn_retries). */
#define CONNECT_DEADLINE_NS (180 * 1000000000ULL)

static struct trunk_flow *trunk_flow_of(struct relay_flow *flow)
{
	return list_entry(flow, struct trunk_flow, core);
}

static struct trunk_relay *relay_of(const struct trunk_flow *flow)
{
	return list_entry(flow->core.relay, struct trunk_relay, core);
}

static void set_deadline(struct trunk_flow *flow, uint64_t in_ns)
{
	flow->core.deadline_ns = flow->core.relay->now_ns + in_ns;
}

static bool send_answer(struct trunk_flow *flow, enum trunk_answer answer)
{
	unsigned char byte = (unsigned char)answer;

	return send(flow->core.client.fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

/* Tells the gateway no. A close would be a reset, which overtakes the answer: the
 * gateway closes, or the deadline does. */
static void turn_down(struct trunk_flow *flow, enum trunk_answer answer)
{
	if (!send_answer(flow, answer)) {
		flow_end(&flow->core, FLOW_END_CLIENT_RESET);
		return;
	}
	flow->phase = TRUNK_TURNED_DOWN;
	set_deadline(flow, HEADER_DEADLINE_NS);
	flow->core.client.readable = false;
}

/* ---- the application ---- */

static bool is_ours(const struct trunk_relay *relay, const struct half_open_key *tuple)
{
	for (size_t i = 0; i < relay->setup.count; i++)
		if (memcmp(relay->setup.addresses[i], tuple->remote, 16) == 0)
			return tuple->service_port == relay->setup.service_port;
	return false;
}

static int connect_application(struct trunk_flow *flow)
{
	struct sockaddr_storage address;
	socklen_t length = endpoint_to_sockaddr(flow->tuple.remote, flow->tuple.service_port,
						&address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0)
		return -errno;
	result = leg_set_options(fd);
	if (!result && connect(fd, (struct sockaddr *)&address, length) < 0 && errno != EINPROGRESS)
		result = -errno;
	if (result) {
		close(fd);
		return result;
	}
	return leg_open(&flow->core.remote, fd);
}

static enum trunk_answer answer_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ECONNRESET:
		return TRUNK_REFUSED;
	case ETIMEDOUT:
		return TRUNK_NO_ANSWER;
	default:
		return TRUNK_FAILED;
	}
}

static void application_failed(struct trunk_flow *flow)
{
	socklen_t length = sizeof(int);
	int error = 0;

	getsockopt(flow->core.remote.fd, SOL_SOCKET, SO_ERROR, &error, &length);
	turn_down(flow, answer_of(error));
}

/* The application accepted: the gateway may tell its client. */
static void join(struct trunk_flow *flow)
{
	bool told = true;

	/* The send buffer is empty, so all of it fits or the leg is dead. */
	if (relay_of(flow)->setup.proxy_protocol)
		told = send(flow->core.remote.fd, flow->header, flow->header_length,
			    MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)flow->header_length;
	if (!told) {
		turn_down(flow, TRUNK_REFUSED);
		return;
	}
	if (!send_answer(flow, TRUNK_ACCEPTED)) {
		flow_end(&flow->core, FLOW_END_CLIENT_RESET);
		return;
	}
	flow->phase = TRUNK_JOINED;
	flow->core.up.read_before = (uint32_t)flow->header_length;
	flow->core.engine = relay_of(flow)->setup.engine;
	flow->core.budget = relay_of(flow)->setup.budget;
	engine_join(&flow->core);
}

/* ---- the header ---- */

static void header_complete(struct trunk_flow *flow)
{
	int result;

	if (!is_ours(relay_of(flow), &flow->tuple)) {
		turn_down(flow, TRUNK_FAILED);
		return;
	}
	flow->phase = TRUNK_CONNECTING;
	set_deadline(flow, CONNECT_DEADLINE_NS);
	result = connect_application(flow);
	if (result)
		turn_down(flow, answer_of(-result));
}

static void read_header(struct trunk_flow *flow)
{
	struct leg *leg = &flow->core.client;
	int wanted;
	ssize_t length;

	while ((wanted = proxy_protocol_v2_parse(flow->header, flow->header_length, &flow->tuple)) >
	       0) {
		length = recv(leg->fd, flow->header + flow->header_length, (size_t)wanted,
			      MSG_DONTWAIT);
		if (length < 0 && errno == EAGAIN) {
			leg->readable = false;
			return;
		}
		if (length <= 0) {
			flow_end(&flow->core, FLOW_END_ABANDONED);
			return;
		}
		flow->header_length += (size_t)length;
	}
	if (wanted < 0)
		flow_end(&flow->core, FLOW_END_ABANDONED); /* no gateway */
	else
		header_complete(flow);
}

/* ---- what the relay calls ---- */

static void progress(struct relay_flow *core)
{
	struct trunk_flow *flow = trunk_flow_of(core);

	if (core->client.failed) {
		flow_end(core, FLOW_END_ABANDONED);
		return;
	}
	switch (flow->phase) {
	case TRUNK_HEADER:
		read_header(flow);
		break;
	case TRUNK_CONNECTING:
		if (core->remote.failed)
			application_failed(flow);
		else if (core->remote.writable)
			join(flow);
		break;
	case TRUNK_TURNED_DOWN:
		if (core->client.readable)
			flow_end(core, FLOW_END_REFUSED);
		break;
	case TRUNK_JOINED:
		break;
	}
}

static void check(struct relay_flow *core)
{
	if (core->state != FLOW_CONNECTING || core->relay->now_ns < core->deadline_ns)
		return;
	if (trunk_flow_of(core)->phase == TRUNK_CONNECTING)
		turn_down(trunk_flow_of(core), TRUNK_NO_ANSWER);
	else
		flow_end(core, FLOW_END_ABANDONED);
}

static void ended(struct relay_flow *core)
{
	const struct trunk_flow *flow = trunk_flow_of(core);
	char client[ENDPOINT_TEXT_MAX], remote[ENDPOINT_TEXT_MAX];

	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	log_debug("trunk flow %s -> %s %s, %llu bytes up, %llu down",
		  endpoint_format(flow->tuple.client, flow->tuple.client_port, client),
		  endpoint_format(flow->tuple.remote, flow->tuple.service_port, remote),
		  flow_end_name(core->end), (unsigned long long)core->up.bytes,
		  (unsigned long long)core->down.bytes);
}

static void free_flow(struct relay_flow *core)
{
	free(trunk_flow_of(core));
}

const struct relay_front trunk_front = {
	.progress = progress,
	.check = check,
	.ended = ended,
	.free = free_flow,
};

/* A listener of MPTCP hands out plain TCP as well, to those who ask for that. */
static bool is_mptcp(int fd)
{
	int protocol = 0;
	socklen_t length = sizeof(protocol);

	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 &&
	       protocol == IPPROTO_MPTCP;
}

void trunk_flow_begin(struct trunk_relay *relay, int fd)
{
	struct trunk_flow *flow = NULL;

	if (relay->core.flow_count < relay->core.flow_limit)
		flow = calloc(1, sizeof(*flow));
	if (!flow) {
		close(fd); /* the listener's SO_LINGER makes this a reset: the gateway forwards */
		return;
	}
	flow_init(&flow->core, &relay->core);
	flow->core.client.mptcp = is_mptcp(fd);
	flow->phase = TRUNK_HEADER;
	set_deadline(flow, HEADER_DEADLINE_NS);
	flow->core.keepalive_s = relay->setup.keepalive_s;
	if (leg_open(&flow->core.client, fd) < 0)
		flow_end(&flow->core, FLOW_END_FAILED);
}
