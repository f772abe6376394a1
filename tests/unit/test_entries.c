/* SPDX-License-Identifier: GPL-2.0 */
/* What an agent asks a gateway for, and when. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "entries.h"
#include "log.h"
#include "params.h"

static uint8_t address[16];
static struct agent_service service = { .service_port = 80, .trunk_port = 80 };
static struct agent_config config = { .addresses = &address,
				      .address_count = 1,
				      .services = &service,
				      .service_count = 1 };
static struct entries entries;
static uint64_t last_id;

static void set_up(void)
{
	log_open("unit", LOG_LEVEL_ERROR - 1);
	cr_assert_eq(address_parse("203.0.113.7", address), 0);
	params_default(&service.params);
	cr_assert_eq(entries_want(&entries, &config), 0);
}

static void tear_down(void)
{
	entries_free(&entries);
}

/* Sends the next request, which must be of this kind; its number. */
static uint64_t ask(enum entry_state state)
{
	struct entry *entry = entries_next(&entries);

	cr_assert_not_null(entry);
	cr_assert_eq(entry->state, state);
	entry->id = ++last_id;
	entries_asked(&entries, entry);
	return entry->id;
}

static void answer(uint64_t id, const char *refusal)
{
	entries_answered(&entries, id, refusal, "hq");
}

static enum entry_state state(void)
{
	cr_assert_eq(entries.count, 1);
	return entries.list[0].state;
}

/* Another trunk port: the entry is to be registered as it is now. */
static void change(void)
{
	service.trunk_port++;
	cr_assert_eq(entries_want(&entries, &config), 0);
}

TestSuite(entries, .init = set_up, .fini = tear_down);

Test(entries, what_is_wanted_is_asked_for_once)
{
	answer(ask(ENTRY_NEW), NULL);
	cr_expect_eq(state(), ENTRY_HELD);
	cr_expect_null(entries_next(&entries));
	cr_expect(entries_are_settled(&entries));
	cr_assert_eq(entries_want(&entries, &config), 0);
	cr_expect_null(entries_next(&entries), "nothing has changed");
}

Test(entries, what_was_never_registered_rests_when_it_is_refused)
{
	answer(ask(ENTRY_NEW), "port: no");
	cr_expect_eq(state(), ENTRY_REFUSED);
	cr_expect_null(entries_next(&entries));
	entries_try_refused(&entries);
	answer(ask(ENTRY_NEW), NULL);
	cr_expect_eq(state(), ENTRY_HELD);
}

Test(entries, of_a_change_that_is_refused_nothing_is_left)
{
	answer(ask(ENTRY_NEW), NULL);
	change();
	answer(ask(ENTRY_NEW), "params: no");
	answer(ask(ENTRY_WITHDRAW), NULL);
	cr_expect_eq(state(), ENTRY_REFUSED, "it is still wanted");
	entries_try_refused(&entries);
	answer(ask(ENTRY_NEW), "params: no");
	cr_expect_eq(state(), ENTRY_REFUSED, "there is nothing to withdraw any more");
}

Test(entries, a_change_while_the_refused_one_is_withdrawn_is_asked_for)
{
	uint64_t withdrawal;

	answer(ask(ENTRY_NEW), NULL);
	change();
	answer(ask(ENTRY_NEW), "params: no");
	withdrawal = ask(ENTRY_WITHDRAW);
	change();
	answer(withdrawal, NULL);
	answer(ask(ENTRY_NEW), NULL);
	cr_expect_eq(state(), ENTRY_HELD);
}

Test(entries, a_renewal_that_is_refused_forgets_no_withdrawal)
{
	answer(ask(ENTRY_NEW), NULL);
	cr_assert_eq(entries_want(&entries, NULL), 0);
	entries_ask_again(&entries);
	answer(ask(ENTRY_WITHDRAW), NULL);
	cr_expect_eq(state(), ENTRY_GONE);
}

Test(entries, a_renewal_that_is_refused_asks_for_what_is_held)
{
	answer(ask(ENTRY_NEW), NULL);
	entries_ask_again(&entries);
	answer(ask(ENTRY_NEW), NULL);
	cr_expect_eq(state(), ENTRY_HELD);
}

Test(entries, a_new_connection_needs_no_withdrawal)
{
	answer(ask(ENTRY_NEW), NULL);
	change();
	entries_reset(&entries);
	answer(ask(ENTRY_NEW), "params: no");
	cr_expect_eq(state(), ENTRY_REFUSED);
}
