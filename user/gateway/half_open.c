// SPDX-License-Identifier: GPL-2.0
/* See half_open.h. */
#include "half_open.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "engine.h"
#include "flow_trace.h"
#include "frame.h"
#include "log.h"
#include "nexthop_flow.h"
#include "parallel.h"
#include "proxy_protocol.h"
#include "socket_diag.h"
#include "time_wait.h"
#include "trunk_ask.h"
#include "wan_leg.h"
#include "wan_tuning.h"

/* The kernel gives up a WAN connection by itself (tcp_syn_retries: 127 s by
 * default); this is for when it does not. */
#define CONNECT_DEADLINE_NS (180 * 1000000000ULL)

/* How long an ended trunk's agent may take, from the SYN to its answer. Whoever listens
 * at its port for a process that hangs is the kernel, which says nothing about that. */
#define TRUNK_DEADLINE_NS (5 * 1000000000ULL)

/* How long a connected WAN leg waits for the client's part of the handshake:
 * the kernel sends its SYN+ACK four times in this time. */
#define JOIN_DEADLINE_NS (10 * 1000000000ULL)

/* How often a held SYN goes back in: with the sweep of each second, but the one that
 * may be due at once. */
#define REINJECTIONS_MAX 4
#define REINJECTION_PAUSE_NS (500 * 1000000ULL)

/* How long after that wait began a SYN must have reached the listener. What
 * keeps it from there keeps every SYN: a firewall that drops marked packets. */
#define DELIVERY_NS (3500 * 1000000ULL)

/* How long a gateway that stops waits for a remote to answer: one that is there
 * does, and need not see a connection that is given up again. */
#define LET_GO_NS 1000000000ULL

static int packet_socket(uint32_t mark)
{
	/* Protocol 0: sends only, receives nothing. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0) {
		int result = -errno;

		close(fd);
		return result;
	}
	return fd;
}

int half_open_init(struct gateway_relay *relay)
{
	for (size_t i = 0; i < HALF_OPEN_HASH_SIZE; i++)
		list_init(&relay->half_open[i]);
	relay->packet_reinject = packet_socket(MARK_REINJECT);
	relay->packet_forward = packet_socket(MARK_FORWARD);
	relay->packet_reply = packet_socket(0);
	if (relay->packet_reinject < 0)
		return relay->packet_reinject;
	if (relay->packet_forward < 0)
		return relay->packet_forward;
	return relay->packet_reply < 0 ? relay->packet_reply : 0;
}

void half_open_free(struct gateway_relay *relay)
{
	close(relay->packet_reinject);
	close(relay->packet_forward);
	close(relay->packet_reply);
}

static struct list *hash_bucket(struct gateway_relay *relay, const struct half_open_key *landing)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	const uint8_t *byte = (const uint8_t *)landing;

	for (size_t i = 0; i < sizeof(*landing); i++)
		hash = (hash ^ byte[i]) * 16777619u;
	return &relay->half_open[hash % HALF_OPEN_HASH_SIZE];
}

/* By what an accepted connection is known by. */
static struct gateway_flow *find(struct gateway_relay *relay, const struct half_open_key *landing)
{
	struct list *bucket = hash_bucket(relay, landing);

	for (struct list *link = bucket->next; link != bucket; link = link->next) {
		struct gateway_flow *flow = list_entry(link, struct gateway_flow, hash_link);

		if (memcmp(&flow->landing, landing, sizeof(*landing)) == 0)
			return flow;
	}
	return NULL;
}

/* Sends a frame made from the flow's SYN on the interface the SYN came by. */
static int send_frame(int packet_fd, const struct syn_event *syn, const uint8_t *frame, int length)
{
	bool ipv4 = address_is_ipv4(syn->tuple.remote);
	struct sockaddr_ll where = { .sll_family = AF_PACKET,
				     .sll_ifindex = (int)syn->ifindex,
				     .sll_halen = ETH_ALEN };

	if (length < 0)
		return length;
	/* With a link header the kernel reads the protocol from there. */
	if (syn->l3_offset == 0)
		where.sll_protocol = ipv4 ? htons(ETH_P_IP) : htons(ETH_P_IPV6);
	else
		memcpy(where.sll_addr, frame, ETH_ALEN);
	if (sendto(packet_fd, frame, (size_t)length, 0, (struct sockaddr *)&where, sizeof(where)) <
	    0)
		return -errno;
	return 0;
}

/* Sends the SYN back in by the socket, whose mark says where it is to go. */
static int send_syn(int packet_fd, enum frame_goal goal, const struct gateway_flow *flow)
{
	uint8_t frame[FRAME_MAX];

	return send_frame(packet_fd, flow->syn, frame, frame_syn(flow->syn, goal, frame));
}

static int give_back(const struct gateway_flow *flow)
{
	return send_syn(gateway_relay_of(flow)->packet_reinject, FRAME_TO_LISTENER, flow);
}

static int forward(const struct gateway_flow *flow)
{
	const struct half_open_key *tuple = &flow->tuple;

	/* An old leg in TIME_WAIT would keep the SYN from being forwarded (time_wait.h). */
	if (!gateway_flow_is_rewritten(flow))
		time_wait_remove_one(tuple->remote, tuple->service_port, tuple->client,
				     tuple->client_port);
	return send_syn(gateway_relay_of(flow)->packet_forward, FRAME_TO_REMOTE, flow);
}

/* The gateway cannot do this one: the client's SYN goes to the remote itself. */
static void forward_instead(struct gateway_flow *flow)
{
	int result = 0;

	/* First, or the client's answer to the remote, which may be here before the
	 * next line, would be taken for one to us. */
	half_open_leave(flow);
	if (flow->syn->held && !flow->reinjections) {
		flow_tell(flow, TRACE_FORWARDED);
		result = forward(flow);
	}
	if (result)
		log_warning("held SYN not forwarded: %s", strerror(-result));
	flow_end(&flow->core, flow->syn->held ? FLOW_END_FORWARDED : FLOW_END_FAILED);
}

/* The remote cannot be reached: the client is told what we were told. */
static void tell_client(struct gateway_flow *flow, const struct wan_error *error)
{
	struct gateway_relay *relay = gateway_relay_of(flow);
	uint8_t frame[FRAME_MAX];
	int length = 0;

	if (!flow->syn->held)
		return; /* it is connected already, and gets a reset */
	flow_tell(flow, TRACE_CLIENT_TOLD);
	if (error->from_icmp)
		length = frame_icmp_error(flow->syn, error->type, error->code, error->from, frame);
	else
		length = frame_reset(flow->syn, frame);
	length = send_frame(relay->packet_reply, flow->syn, frame, length);
	if (length)
		log_warning("answer to a held SYN not sent: %s", strerror(-length));
}

static bool is_trunk_ended(const struct gateway_flow *flow)
{
	return flow->port.flags & PORT_TRUNK_ENDED;
}

static void connect_failed(struct gateway_flow *flow)
{
	struct wan_error error;

	wan_leg_error(flow->core.remote.fd, &error);
	/* Of the agent's port: the service behind it may be there. */
	if (is_trunk_ended(flow)) {
		forward_instead(flow);
		return;
	}
	switch (error.error) {
	case ECONNREFUSED:
	case ECONNRESET:
		tell_client(flow, &error);
		flow_end(&flow->core, FLOW_END_REFUSED);
		return;
	case ETIMEDOUT:
		/* Silence, as the client would meet without us. */
		flow_end(&flow->core, FLOW_END_NO_ANSWER);
		return;
	default:
		break;
	}
	if (!error.from_icmp) {
		forward_instead(flow);
		return;
	}
	tell_client(flow, &error);
	flow_end(&flow->core, FLOW_END_UNREACHABLE);
}

/* True when the SYN is still this relay's: BPF lets a SYN go, and removes its
 * entry, when the relay was asleep for too long. */
static bool is_entered(struct gateway_relay *relay, const struct syn_event *syn)
{
	struct half_open_value value;

	return bpf_map_lookup_elem(relay->setup.half_open_map, &syn->tuple, &value) == 0 &&
	       value.isn == syn->isn && value.relay == relay->setup.index;
}

/* Gives a connection's place in the tables and budgets back. */
static void remove_entry(struct gateway_relay *relay, const struct syn_event *syn)
{
	uint64_t *in_bucket = &relay->setup.half_open_by_client[syn->client_bucket];
	uint64_t count = __atomic_load_n(in_bucket, __ATOMIC_RELAXED);

	/* Gone, or passed on to a newer SYN, with its place. */
	if (!is_entered(relay, syn) ||
	    bpf_map_delete_elem(relay->setup.half_open_map, &syn->tuple) < 0)
		return;
	while (count > 0 && !__atomic_compare_exchange_n(in_bucket, &count, count - 1, false,
							 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* A new SYN from a tuple that is half-open already. True when it is the same
 * one again; otherwise the old flow is gone and its place is free. */
static bool known_already(struct gateway_relay *relay, const struct syn_event *syn)
{
	struct gateway_flow *known = find(relay, &syn->landing);

	if (!known)
		return false;
	if (known->syn->isn == syn->isn)
		return true;
	relay_count(&relay->setup.shared->counters.superseded, 1);
	flow_end(&known->core, FLOW_END_ABANDONED);
	return false;
}

/* Of a held SYN, which can still be forwarded; a client that is connected already can
 * only be reset, so it waits. */
static uint64_t connect_deadline(const struct gateway_flow *flow)
{
	return is_trunk_ended(flow) && flow->syn->held ? TRUNK_DEADLINE_NS : CONNECT_DEADLINE_NS;
}

void half_open_syn(struct gateway_relay *relay, const struct syn_event *syn)
{
	struct gateway_flow *flow;
	int fd;

	relay_count(&relay->setup.shared->counters.syns, 1);
	if (known_already(relay, syn))
		return;
	if (!is_entered(relay, syn)) {
		nexthop_flow_forget(relay, syn);
		return;
	}
	flow = gateway_flow_new(relay, syn);
	if (!flow) { /* the client's next SYN finds us, or not, in a better state */
		remove_entry(relay, syn);
		nexthop_flow_forget(relay, syn);
		return;
	}
	nexthop_flow_note(relay, syn);
	list_append(hash_bucket(relay, &flow->landing), &flow->hash_link);
	flow_trace_begin(flow);
	flow->core.deadline_ns = relay->core.now_ns + connect_deadline(flow);
	if (bpf_map_lookup_elem(relay->setup.param_map, &flow->port.params_id, &flow->params)) {
		forward_instead(flow); /* withdrawn this moment */
		return;
	}
	flow->core.idle_timeout_s = flow->params.idle_timeout_s;
	flow->core.keepalive_s = flow->params.keepalive_s;
	if (relay->setup.shared->flows > relay->core.flow_limit) {
		forward_instead(flow);
		return;
	}
	flow->core.remote.mptcp = flow->params.parallel > 1;
	fd = wan_leg_connect(&flow->tuple, flow->port.trunk_port, &flow->params,
			     relay->setup.socket_map);
	if (fd < 0 || leg_open(&flow->core.remote, fd) < 0) {
		if (fd < 0 && log_enabled(LOG_LEVEL_DEBUG))
			log_debug("WAN leg not opened: %s", strerror(-fd));
		forward_instead(flow);
		return;
	}
	flow_tell(flow, TRACE_CONNECT);
}

/* Both legs are up. */
static void join(struct gateway_flow *flow)
{
	uint8_t header[PROXY_PROTOCOL_MAX];
	size_t length;

	half_open_leave(flow);
	if (flow->params.proxy_protocol == PROXY_PROTOCOL_V2 && !is_trunk_ended(flow)) {
		length = proxy_protocol_v2(&flow->tuple, header);
		/* The send buffer is empty, so all of it fits or the leg is dead. */
		if (send(flow->core.remote.fd, header, length, MSG_NOSIGNAL) != (ssize_t)length) {
			flow_end(&flow->core, FLOW_END_REMOTE_RESET);
			return;
		}
	}
	relay_count(&gateway_relay_of(flow)->setup.shared->counters.joined, 1);
	parallel_complete(flow);
	flow->core.engine = flow->params.engine ?: gateway_relay_of(flow)->setup.engine;
	flow->core.budget = wan_window(&flow->params);
	flow_tell(flow, TRACE_JOINED);
	engine_join(&flow->core);
}

/* A held SYN goes to the listener: counts it, and tells who traces it. */
static void give_back_told(struct gateway_flow *flow)
{
	flow->reinjections++;
	flow->given_back_ns = flow->core.relay->now_ns;
	if (flow->traces)
		flow_trace_tell(flow, TRACE_GIVEN_BACK, flow->reinjections);
}

/* While a relay sleeps for too long, a client's next SYN takes its connection away:
 * it goes to the remote itself. */
static bool is_given_away(const struct gateway_flow *flow)
{
	struct gateway_relay *relay = gateway_relay_of(flow);

	return relay->overslept_ns > flow->core.since_ns && !is_entered(relay, flow->syn);
}

/* The remote accepted: now, and not before, the client may hear of it. */
static void accepted(struct gateway_flow *flow)
{
	int result;

	flow->core.state = FLOW_JOINING;
	flow->core.deadline_ns = flow->core.relay->now_ns + JOIN_DEADLINE_NS;
	if (flow->core.client.fd >= 0) {
		join(flow);
		return;
	}
	if (!flow->syn->held)
		return;
	if (is_given_away(flow)) {
		flow_end(&flow->core, FLOW_END_ABANDONED);
		return;
	}
	give_back_told(flow);
	result = give_back(flow);
	if (result) {
		log_warning("held SYN not given back: %s", strerror(-result));
		flow_end(&flow->core, FLOW_END_FAILED);
	}
}

/* The WAN leg is up; where an agent ends it, the application is still to be asked. */
static void connected(struct gateway_flow *flow)
{
	wan_leg_connected(flow->core.remote.fd, &flow->tuple, &flow->params);
	flow_tell(flow, TRACE_CONNECTED);
	if (!is_trunk_ended(flow)) {
		accepted(flow);
		return;
	}
	flow->asked = true;
	flow_tell(flow, TRACE_ASKED);
	if (trunk_ask(flow->core.remote.fd, &flow->tuple))
		forward_instead(flow);
}

/* The agent's answer. Whatever is wrong with the agent, the service itself may
 * be there: the client then goes to it directly. */
static void answered(struct gateway_flow *flow)
{
	const struct wan_error refused = { .error = ECONNREFUSED };
	enum trunk_answer answer = TRUNK_FAILED;
	int result = trunk_read_answer(flow->core.remote.fd, &answer);

	if (result == -EAGAIN) {
		flow->core.remote.readable = false;
		return;
	}
	flow->asked = false;
	flow->core.down.read_before = 1;
	switch (result ? TRUNK_FAILED : answer) {
	case TRUNK_ACCEPTED:
		accepted(flow);
		break;
	case TRUNK_REFUSED:
		tell_client(flow, &refused);
		flow_end(&flow->core, FLOW_END_REFUSED);
		break;
	case TRUNK_NO_ANSWER:
		flow_end(&flow->core, FLOW_END_NO_ANSWER);
		break;
	default:
		forward_instead(flow);
		break;
	}
}

void half_open_progress(struct gateway_flow *flow)
{
	if (flow->core.client.failed) {
		flow_end(&flow->core, FLOW_END_ABANDONED);
		return;
	}
	if (flow->core.remote.failed) {
		if (flow->core.state == FLOW_CONNECTING)
			connect_failed(flow);
		else
			flow_end(&flow->core, FLOW_END_REMOTE_RESET);
		return;
	}
	if (flow->asked)
		answered(flow);
	else if (flow->core.state == FLOW_CONNECTING && flow->core.remote.writable)
		connected(flow);
}

/* The addresses of an accepted socket: the landing of a flow. */
static int accepted_landing(int fd, const struct sockaddr_storage *client,
			    struct half_open_key *tuple)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int result = endpoint_from_sockaddr(client, tuple->client, &tuple->client_port);

	if (result == 0 && getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return -errno;
	return result ?: endpoint_from_sockaddr(&address, tuple->remote, &tuple->service_port);
}

void half_open_accepted(struct gateway_relay *relay, int fd, const struct sockaddr_storage *client)
{
	struct half_open_key landing;
	struct gateway_flow *flow = NULL;

	if (accepted_landing(fd, client, &landing) == 0)
		flow = find(relay, &landing);
	if (!flow || flow->core.client.fd >= 0) {
		/* Nobody's SYN was taken for it, or its flow has failed meanwhile. The
		 * listener's SO_LINGER makes this a reset. */
		relay_count(&relay->setup.shared->counters.strangers, 1);
		close(fd);
		return;
	}
	if (leg_open(&flow->core.client, fd) < 0) {
		flow_end(&flow->core, FLOW_END_FAILED);
		return;
	}
	flow_tell(flow, TRACE_ACCEPTED);
	if (flow->core.state == FLOW_JOINING)
		join(flow);
}

/* The SYN that went back in may have been lost: to a full queue, or to a leg in
 * TIME_WAIT that the client's answer to it has removed by now. The client's own
 * retransmissions are dropped, so this one stands for them; a listener that has
 * it already answers once more. */
static void give_back_again(struct gateway_flow *flow)
{
	int result;

	give_back_told(flow);
	result = give_back(flow);
	if (result)
		log_debug("held SYN not given back again: %s", strerror(-result));
}

/* True when the client hears nothing of us, though the remote has accepted. */
static bool is_undelivered(const struct gateway_flow *flow)
{
	const struct gateway_relay *relay = gateway_relay_of(flow);
	struct half_open_value value;

	return flow->core.state == FLOW_JOINING && flow->core.client.fd < 0 && !flow->answered &&
	       relay->core.now_ns + JOIN_DEADLINE_NS >= flow->core.deadline_ns + DELIVERY_NS &&
	       bpf_map_lookup_elem(relay->setup.half_open_map, &flow->tuple, &value) == 0 &&
	       value.isn == flow->syn->isn && !value.delivered;
}

/* The listener has the SYN and has answered it, and the client, which has not sent
 * another that would have shown it, is gone. */
static bool is_answered(const struct gateway_flow *flow)
{
	const struct half_open_key *landing = &flow->landing;
	struct inet_diag_req_v2 socket;

	return socket_diag_find(landing->remote, landing->service_port, landing->client,
				landing->client_port, &socket) == 0 &&
	       socket.idiag_states & (1U << TCP_SYN_RECV | 1U << TCP_ESTABLISHED);
}

/* Fails open: the client, which still tries, gets the remote itself. First its
 * WAN leg goes, which may have the client's address and port. */
static void forward_undelivered(struct gateway_flow *flow)
{
	static bool told;
	int result;

	if (!told && gateway_flow_is_rewritten(flow))
		log_warning("held SYNs do not come through to the relay and are forwarded: does a "
			    "firewall drop packets to the listen ports on their way in (INPUT)?");
	else if (!told)
		log_warning("held SYNs do not come through to the relay and are forwarded: does a "
			    "firewall drop packets with mark 0x%x/0x%x on their way in (INPUT)?",
			    MARK_STEAL, MARK_MASK);
	told = true;
	flow_tell(flow, TRACE_FORWARDED);
	flow_end(&flow->core, FLOW_END_FORWARDED);
	result = forward(flow);
	if (result)
		log_warning("held SYN not forwarded: %s", strerror(-result));
}

void half_open_check(struct gateway_flow *flow)
{
	if (gateway_relay_of(flow)->letting_go &&
	    flow->core.relay->now_ns - flow->core.since_ns >= LET_GO_NS)
		half_open_let_go(flow);
	if (is_undelivered(flow)) {
		flow->answered = is_answered(flow);
		if (!flow->answered) {
			forward_undelivered(flow);
			return;
		}
	}
	if (flow->core.relay->now_ns < flow->core.deadline_ns) {
		if (flow->core.client.fd < 0 && flow->reinjections &&
		    flow->reinjections < REINJECTIONS_MAX &&
		    flow->core.relay->now_ns - flow->given_back_ns >= REINJECTION_PAUSE_NS)
			give_back_again(flow);
		return;
	}
	if (flow->core.state != FLOW_CONNECTING)
		flow_end(&flow->core, FLOW_END_ABANDONED);
	else if (is_trunk_ended(flow) && flow->syn->held)
		forward_instead(flow);
	else
		flow_end(&flow->core, FLOW_END_NO_ANSWER);
}

void half_open_let_go(struct gateway_flow *flow)
{
	if (flow->core.state == FLOW_CONNECTING && flow->syn->held)
		forward_instead(flow);
}

void half_open_leave(struct gateway_flow *flow)
{
	if (list_empty(&flow->hash_link))
		return;
	list_remove(&flow->hash_link);
	remove_entry(gateway_relay_of(flow), flow->syn);
}
