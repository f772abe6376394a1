// SPDX-License-Identifier: GPL-2.0
/*
 * The LAN side at tc ingress, where bpf_sk_assign() works: the packets of a
 * connection from its SYN to its end, each with its counter, the answer that
 * leaves and what the socket gets.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "way.h"

#define DATA_LENGTH 100

/* Checks who the accepted connection is between. */
static void check_ends(int fd, const struct way *way)
{
	const struct packet_spec spec = { .ipv6 = way->ipv6 };
	struct half_open_key wanted = rig_tuple(&spec), is;
	struct sockaddr_storage sa;
	socklen_t length = sizeof(sa);

	memset(&is, 0, sizeof(is));
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sa, &length), 0);
	cr_assert_eq(endpoint_from_sockaddr(&sa, is.remote, &is.service_port), 0);
	length = sizeof(sa);
	cr_assert_eq(getpeername(fd, (struct sockaddr *)&sa, &length), 0);
	cr_assert_eq(endpoint_from_sockaddr(&sa, is.client, &is.client_port), 0);
	cr_expect_arr_eq(&is, &wanted, sizeof(wanted), "%s: ends of the leg", way->dev);
}

/* What the relay does when it joins a flow. */
static void forget_half_open(const struct way *way)
{
	const struct packet_spec spec = { .ipv6 = way->ipv6 };
	struct half_open_key key = rig_tuple(&spec);

	cr_expect_eq(bpf_map__delete_elem(rig.skeleton->maps.half_open, &key, sizeof(key), 0), 0,
		     "%s: no half-open entry", way->dev);
}

/* The client answers the SYN+ACK, which way_read() has given. Returns the
 * accepted leg and the next segment of the client. */
static int finish_handshake(const struct way *way, int listener, struct packet_spec answer,
			    struct packet_spec *next)
{
	int fd;

	*next = (struct packet_spec){ .flags = ACK, .seq = answer.ack, .ack = answer.seq + 1 };
	way_arrive(way, *next, COUNTED_to_leg, "ACK of the handshake");
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	cr_assert_geq(fd, 0, "%s: the listener has no connection: %s", way->dev, strerror(errno));
	check_ends(fd, way);
	forget_half_open(way);
	return fd;
}

static struct packet_spec read_answer(const struct way *way, uint32_t isn)
{
	struct packet_spec answer = way_read(way, way->out, SERVICE_PORT, CLIENT_PORT, SYN | ACK,
					     "answer to the SYN");

	cr_expect_eq(answer.ack, isn + 1, "%s: acknowledges the SYN", way->dev);
	return answer;
}

/* Reads all that has left by the descriptor. */
static void discard(int fd)
{
	while (!lan_is_quiet(fd))
		continue;
}

/* Data and a reset arrive at the leg, then something that is nobody's. */
static void check_leg(const struct way *way, int wan_out, int fd, struct packet_spec next)
{
	char bytes[DATA_LENGTH + 1];

	next.flags = PSH | ACK;
	next.payload = DATA_LENGTH;
	way_arrive(way, next, COUNTED_to_leg, "data");
	cr_expect_eq(recv(fd, bytes, sizeof(bytes), 0), DATA_LENGTH, "%s: data", way->dev);
	next.seq += DATA_LENGTH;
	next.payload = 0;
	next.flags = RST | ACK;
	way_arrive(way, next, COUNTED_to_leg, "reset");
	cr_expect_eq(recv(fd, bytes, sizeof(bytes), 0), -1, "%s: reset", way->dev);
	cr_expect_eq(errno, ECONNRESET, "%s: reset", way->dev);
	close(fd);
	cr_expect(lan_is_quiet(wan_out), "%s: something was forwarded", way->dev);
	next.flags = ACK;
	way_arrive(way, next, COUNTED_older_flow, "packet behind the reset");
	way_read(way, wan_out, CLIENT_PORT, SERVICE_PORT, ACK, "forwarded");
}

static void early(const struct way *way, int wan_out)
{
	const struct packet_spec syn = { 0 };
	struct packet_spec next;
	int listener = rig_set_listener(way->ipv6), fd;

	rig_set_port(PORT_EARLY);
	way_arrive(way, syn, COUNTED_syn_early, "SYN");
	cr_expect_eq(rig.events, 1, "%s", way->dev);
	cr_expect_eq(rig.event.held, 0, "%s", way->dev);
	cr_expect_eq(rig.event.ifindex, if_nametoindex(way->dev), "%s", way->dev);
	way_arrive(way, syn, COUNTED_to_leg, "SYN again, to the half-open leg");
	cr_expect_eq(rig.events, 1, "%s", way->dev);
	fd = finish_handshake(way, listener, read_answer(way, ISN), &next);
	check_leg(way, wan_out, fd, next);
	discard(way->out);
	close(listener);
}

Test(delivery, early_syn_is_answered_at_once)
{
	way_check(false, early);
}

/* A SYN is held, and sent back in. */
static void hold_and_reinject(const struct way *way, uint32_t isn)
{
	const struct packet_spec syn = { .tcp_options = 20, .seq = isn };
	unsigned before = rig.events;

	way_arrive(way, syn, COUNTED_syn_held, "SYN");
	way_arrive(way, syn, COUNTED_syn_retransmit, "SYN again");
	cr_assert_eq(rig.events, before + 1, "%s", way->dev);
	cr_expect_eq(rig.event.ifindex, if_nametoindex(way->dev), "%s", way->dev);
	cr_expect_eq(rig.event.l3_offset, way->raw ? 0 : 14, "%s: link header", way->dev);
	cr_expect(lan_is_quiet(way->out), "%s: a held SYN was answered", way->dev);
	way_send_held(way, MARK_REINJECT);
}

static void held(const struct way *way, int wan_out)
{
	struct packet_spec next, answer;
	int listener = rig_set_listener(way->ipv6), fd;

	hold_and_reinject(way, ISN);
	answer = read_answer(way, ISN);
	way_counted(way, COUNTED_syn_reinjected, "SYN sent back in");
	fd = finish_handshake(way, listener, answer, &next);
	check_leg(way, wan_out, fd, next);
	discard(way->out);
	close(listener);
}

Test(delivery, held_syn_is_answered_when_it_is_sent_back_in)
{
	way_check(false, held);
}

/* The gateway closes first, so its leg is in TIME_WAIT; then the client
 * connects anew from the same port. */
static void time_wait(const struct way *way, int wan_out)
{
	struct packet_spec next, answer;
	int listener = rig_set_listener(way->ipv6), fd;

	hold_and_reinject(way, ISN);
	answer = read_answer(way, ISN);
	way_counted(way, COUNTED_syn_reinjected, "SYN sent back in");
	fd = finish_handshake(way, listener, answer, &next);
	close(fd);
	way_read(way, way->out, SERVICE_PORT, CLIENT_PORT, FIN | ACK, "FIN of the gateway");
	next.ack++;
	next.flags = FIN | ACK;
	way_arrive(way, next, COUNTED_to_leg, "FIN of the client");
	next.seq++;
	next.flags = ACK;
	discard(way->out);
	way_arrive(way, next, COUNTED_to_leg, "ACK to the leg in TIME_WAIT");

	hold_and_reinject(way, next.seq + 100000);
	answer = read_answer(way, next.seq + 100000);
	way_counted(way, COUNTED_syn_reinjected, "second SYN sent back in");
	fd = finish_handshake(way, listener, answer, &next);
	check_leg(way, wan_out, fd, next);
	discard(way->out);
	close(listener);
}

Test(delivery, held_syn_may_follow_a_leg_in_time_wait)
{
	way_check(false, time_wait);
}

static void forwarded(const struct way *way, int wan_out)
{
	const struct packet_spec syn = { .tcp_options = 20 };
	struct packet_spec out;

	way_arrive(way, syn, COUNTED_syn_held, "SYN");
	cr_expect(lan_is_quiet(wan_out), "%s: a held SYN was forwarded", way->dev);
	way_send_held(way, MARK_FORWARD);
	out = way_read(way, wan_out, CLIENT_PORT, SERVICE_PORT, SYN, "SYN given back");
	way_counted(way, COUNTED_forward_again, "SYN given back");
	cr_expect_eq(out.seq, ISN, "%s: sequence number", way->dev);
	cr_expect(lan_is_quiet(way->out), "%s: it was answered", way->dev);
}

Test(delivery, syn_given_back_by_the_relay_is_forwarded)
{
	way_check(false, forwarded);
}

static void passed(const struct way *way, int wan_out)
{
	const struct packet_spec other_port = { .to_port = 81 }, older = { .flags = ACK };
	const struct packet_spec other_host = { .to = STRANGER };

	way_arrive(way, other_port, COUNTED_no_port, "port that is not registered");
	way_read(way, wan_out, CLIENT_PORT, 81, SYN, "port that is not registered");
	way_arrive(way, other_host, COUNTED_no_proxy, "host without a proxy");
	way_read(way, wan_out, CLIENT_PORT, SERVICE_PORT, SYN, "host without a proxy");
	way_arrive(way, older, COUNTED_older_flow, "older flow");
	way_read(way, wan_out, CLIENT_PORT, SERVICE_PORT, ACK, "older flow");
	rig_set_heartbeat(0);
	way_arrive(way, (struct packet_spec){ 0 }, COUNTED_relay_stale, "SYN, relay dead");
	way_read(way, wan_out, CLIENT_PORT, SERVICE_PORT, SYN, "SYN, relay dead");
	cr_expect(lan_is_quiet(way->out), "%s: something was answered", way->dev);
}

Test(delivery, what_passes_is_forwarded)
{
	way_check(false, passed);
}

/* Every length, down to one byte of the IP header. */
static void cut(const struct way *way, int wan_out)
{
	struct packet_spec spec = { .tcp_options = 20 };

	for (spec.cut = 1; spec.cut < (way->ipv6 ? 40 : 20) + 40; spec.cut++)
		way_arrive(way, spec, COUNTED_unparsed, "SYN cut short");
	cr_expect_eq(rig.events, 0, "%s", way->dev);
	discard(wan_out);
	discard(way->out);
}

Test(delivery, packets_cut_short_anywhere_are_not_held)
{
	way_check(false, cut);
}

static void other_packets(const struct way *way, int wan_out)
{
	static const struct packet_spec udp = { .protocol = IPPROTO_UDP };
	static const struct packet_spec options = { .ip_options = 40, .tcp_options = 40 };
	static const struct packet_spec extensions = { .extensions = { HOP_BY_HOP, DESTINATION },
						       .tcp_options = 40 };
	static const struct packet_spec fragment4 = { .fragment = 0x2000 };
	static const struct packet_spec fragment6 = { .extensions = { FRAGMENT } };

	way_arrive(way, udp, COUNTED_not_tcp, "UDP");
	way_arrive(way, way->ipv6 ? fragment6 : fragment4, COUNTED_fragment, "fragment");
	discard(wan_out);
	way_arrive(way, way->ipv6 ? extensions : options, COUNTED_syn_held, "SYN with options");
	cr_expect_eq(rig.event.frame_len - rig.event.l4_offset, 60, "%s: TCP header", way->dev);
	cr_expect_eq(rig.event.l4_offset - rig.event.l3_offset, way->ipv6 ? 56 : 60,
		     "%s: IP header", way->dev);
	cr_expect(lan_is_quiet(wan_out), "%s: a held SYN was forwarded", way->dev);
}

Test(delivery, headers_are_told_apart_with_and_without_link_header)
{
	way_check(false, other_packets);
}

static void tagged(const struct way *way, int wan_out)
{
	const struct packet_spec one = { .tags = { 0x8100 } },
				 qinq = { .tags = { 0x88a8, 0x8100 }, .from_port = 40001 };

	if (way->raw)
		return;
	way_arrive(way, one, COUNTED_syn_held, "SYN with a tag");
	cr_expect_eq(rig.event.vlan_proto, htons(0x8100), "%s: the tag's TPID", way->dev);
	cr_expect_eq(rig.event.vlan_tci, 100, "%s: the tag", way->dev);
	cr_expect_eq(rig.event.l3_offset, 14, "%s: the tag is not in the frame", way->dev);
	way_arrive(way, qinq, COUNTED_syn_held, "SYN with two tags");
	cr_expect_eq(rig.event.vlan_proto, htons(0x88a8), "%s: the outer tag's TPID", way->dev);
	cr_expect_eq(rig.event.vlan_tci, 100, "%s: the outer tag", way->dev);
	cr_expect_eq(rig.event.l3_offset, 18, "%s: the inner tag is in the frame", way->dev);
	cr_expect(lan_is_quiet(wan_out), "%s: a held SYN was forwarded", way->dev);
}

Test(delivery, relay_is_told_of_the_tag_that_the_kernel_took_off)
{
	way_check(false, tagged);
}
