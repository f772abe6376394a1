// SPDX-License-Identifier: GPL-2.0
/* Running packets through the program, and the tables of them; see rig.h. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>

#include "rig.h"

/* What kernels say that were built without BPF_PROG_TEST_RUN for tc programs. */
#define ENOTSUPP 524

#define COUNTER_NAME(name, description) #name,
static const char *const counter_names[] = { "nothing", INTERCEPT_COUNTERS(COUNTER_NAME) };

static const char *verdict_name(int verdict, char text[16])
{
	switch (verdict) {
	case PASS:
		return "pass";
	case TAKE:
		return "take";
	case HOLD:
		return "drop";
	case TC_ACT_REDIRECT:
		return "redirect";
	default:
		snprintf(text, 16, "%d", verdict);
		return text;
	}
}

void rig_counters_moved(unsigned moved[COUNTERS_END])
{
	static struct intercept_counters before;
	const uint64_t *was = (const uint64_t *)&before, *is;
	struct intercept_counters now;

	cr_assert_eq(intercept_read_counters(rig.intercept, &now), 0);
	is = (const uint64_t *)&now;
	moved[COUNTED_NOTHING] = 0;
	for (size_t i = 1; i < COUNTERS_END; i++)
		moved[i] = (unsigned)(is[i - 1] - was[i - 1]);
	before = now;
}

void rig_expect_counter(const unsigned moved[COUNTERS_END], enum counter expected,
			const char *family, const char *description)
{
	for (unsigned i = 1; i < COUNTERS_END; i++)
		cr_expect_eq(moved[i], i == expected, "%s, %s: counter %s moved by %u", family,
			     description, counter_names[i], moved[i]);
}

struct outcome rig_run(const struct bpf_program *program, const struct packet *packet,
		       uint32_t mark, uint32_t ifindex)
{
	struct __sk_buff context = { .mark = mark, .ifindex = ifindex };
	uint8_t out[PACKET_MAX];
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet->bytes,
			    .data_size_in = (uint32_t)packet->length, .data_out = out,
			    .data_size_out = sizeof(out), .ctx_in = &context,
			    .ctx_size_in = sizeof(context), .ctx_out = &context,
			    .ctx_size_out = sizeof(context));
	struct outcome outcome;
	int result = bpf_prog_test_run_opts(bpf_program__fd(program), &options);

	if (result == -ENOTSUPP)
		cr_skip_test("this kernel cannot test-run tc programs");
	cr_assert_eq(result, 0, "test run with a packet of %zu bytes: %s", packet->length,
		     strerror(-result));
	cr_expect_eq(options.data_size_out, packet->length, "the packet's length has changed");
	cr_expect_arr_eq(out, packet->bytes, packet->length, "the packet has changed");
	outcome.verdict = (int)options.retval;
	outcome.mark = context.mark;
	rig_counters_moved(outcome.moved);
	return outcome;
}

static void check_row(const struct bpf_program *program, uint32_t ifindex, const struct row *row,
		      bool ipv6)
{
	struct packet_spec spec = row->packet;
	struct outcome outcome;
	struct packet packet;
	char is[16], wanted[16];

	spec.ipv6 = ipv6;
	rig_reset();
	if (row->arrange)
		row->arrange(ipv6);
	packet_build(&spec, &packet);
	outcome = rig_run(program, &packet, row->mark, ifindex);
	cr_expect_eq(outcome.verdict, row->verdict, "%s, %s: verdict %s, not %s", family_name(ipv6),
		     row->description, verdict_name(outcome.verdict, is),
		     verdict_name(row->verdict, wanted));
	cr_expect_eq(outcome.mark, row->mark_out, "%s, %s: mark 0x%08x, not 0x%08x",
		     family_name(ipv6), row->description, outcome.mark, row->mark_out);
	rig_expect_counter(outcome.moved, row->counter, family_name(ipv6), row->description);
	/* A SYN is either passed, or dropped and owned by a relay: nothing in between. */
	rig_consume();
	cr_expect_eq(rig.events, row->verdict == HOLD, "%s, %s: %u events", family_name(ipv6),
		     row->description, rig.events);
	cr_expect_eq(intercept_half_open_count(rig.intercept), rig.events,
		     "%s, %s: half-open entries", family_name(ipv6), row->description);
	cr_expect_eq(rig_budgets_in_use(), rig.events, "%s, %s: budgets in use", family_name(ipv6),
		     row->description);
}

void rig_check_rows(const struct bpf_program *program, uint32_t ifindex, const struct row *rows,
		    size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (rows[i].families != IPV6_ONLY)
			check_row(program, ifindex, &rows[i], false);
		if (rows[i].families != IPV4_ONLY)
			check_row(program, ifindex, &rows[i], true);
	}
}

void rig_expect(const struct packet_spec *spec, int verdict, enum counter counter,
		const char *description)
{
	const char *family = family_name(spec->ipv6);
	struct outcome outcome;
	struct packet packet;
	char is[16];

	packet_build(spec, &packet);
	outcome = rig_run(rig.skeleton->progs.lan_ingress_ethernet, &packet, 0, LO_IFINDEX);
	cr_expect_eq(outcome.verdict, verdict, "%s, %s: verdict %s", family, description,
		     verdict_name(outcome.verdict, is));
	cr_expect_eq(outcome.mark, 0, "%s, %s: mark 0x%08x", family, description, outcome.mark);
	rig_expect_counter(outcome.moved, counter, family, description);
	rig_consume();
}
