// SPDX-License-Identifier: GPL-2.0
/* What proxy_table and port_table decide, and which TCP packets go on to be taken. */
#include "rig.h"

static void no_proxy(bool ipv6)
{
	rig_delete_proxy(REMOTE, ipv6);
}

static void no_port(bool ipv6)
{
	(void)ipv6;
	rig_delete_port();
}

static const struct row table_rows[] = {
	{ "registered", BOTH_FAMILIES, { 0 }, HOLD, .counter = COUNTED_syn_held },
	{ "another destination",
	  BOTH_FAMILIES,
	  { .to = STRANGER },
	  PASS,
	  .counter = COUNTED_no_proxy },
	{ "withdrawn proxy", BOTH_FAMILIES, { 0 }, PASS, COUNTED_no_proxy, .arrange = no_proxy },
	{ "another port", BOTH_FAMILIES, { .to_port = 81 }, PASS, .counter = COUNTED_no_port },
	{ "port with the bytes swapped",
	  BOTH_FAMILIES,
	  { .to_port = 80 << 8 },
	  PASS,
	  .counter = COUNTED_no_port },
	{ "withdrawn port", BOTH_FAMILIES, { 0 }, PASS, COUNTED_no_port, .arrange = no_port },
	{ "what comes back from the remote",
	  BOTH_FAMILIES,
	  { .from = REMOTE, .to = CLIENT, .flags = SYN | ACK },
	  PASS,
	  .counter = COUNTED_no_proxy },
};

Test(tables, what_is_not_registered_passes)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, table_rows);
}

static const struct row flag_rows[] = {
	{ "SYN", BOTH_FAMILIES, { .flags = SYN }, HOLD, .counter = COUNTED_syn_held },
	{ "SYN that offers ECN",
	  BOTH_FAMILIES,
	  { .flags = SYN | ECE | CWR },
	  HOLD,
	  .counter = COUNTED_syn_held },
	{ "SYN with PSH", BOTH_FAMILIES, { .flags = SYN | PSH }, HOLD, .counter = COUNTED_syn_held },
	{ "SYN+ACK", BOTH_FAMILIES, { .flags = SYN | ACK }, PASS, .counter = COUNTED_older_flow },
	{ "SYN+RST", BOTH_FAMILIES, { .flags = SYN | RST }, PASS, .counter = COUNTED_older_flow },
	{ "SYN+FIN", BOTH_FAMILIES, { .flags = SYN | FIN }, PASS, .counter = COUNTED_older_flow },
	{ "ACK", BOTH_FAMILIES, { .flags = ACK }, PASS, .counter = COUNTED_older_flow },
	{ "data",
	  BOTH_FAMILIES,
	  { .flags = PSH | ACK, .payload = 1000 },
	  PASS,
	  .counter = COUNTED_older_flow },
	{ "FIN", BOTH_FAMILIES, { .flags = FIN | ACK }, PASS, .counter = COUNTED_older_flow },
	{ "RST", BOTH_FAMILIES, { .flags = RST }, PASS, .counter = COUNTED_older_flow },
	{ "no flag but PSH", BOTH_FAMILIES, { .flags = PSH }, PASS, .counter = COUNTED_older_flow },
};

Test(tables, flows_older_than_the_registration_pass)
{
	rig_open(NULL);
	CHECK_ROWS(lan_ingress_ethernet, flag_rows);
}
