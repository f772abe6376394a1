/* SPDX-License-Identifier: GPL-2.0 */
/* The ruleset by libnftables, and a packet's way through its chains; see firewall.h. */
#include "firewall.h"

#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>

#include "tables.h"

/* Chains within chains; the kernel's own limit is 16. */
#define DEPTH_MAX 16

static const char *member(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

json_t *firewall_ruleset(void)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	json_t *answer = NULL, *ruleset = NULL;

	if (!nft)
		return NULL;
	nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_HANDLE);
	if (nft_ctx_buffer_output(nft) == 0 && nft_ctx_buffer_error(nft) == 0 &&
	    nft_run_cmd_from_buffer(nft, "list ruleset") == 0)
		answer = json_loads(nft_ctx_get_output_buffer(nft), 0, NULL);
	ruleset = json_incref(json_object_get(answer, "nftables"));
	json_decref(answer);
	nft_ctx_free(nft);
	return ruleset;
}

/* ---- a packet's way ---- */

struct walk {
	const json_t *ruleset;
	const char *family, *table; /* of the base chain */
	struct firewall_packet packet;
	bool maybe; /* a rule before that could not be told might have accepted it */
};

enum step { STEP_NEXT, STEP_RETURN, STEP_ACCEPT, STEP_END };

static enum step run_chain(struct walk *walk, const char *chain, int depth,
			   struct firewall_verdict *verdict);

/* What a statement does to a packet that has come to it, for certain or not. */
static enum step harm(struct walk *walk, enum fate fate, bool certain,
		      struct firewall_verdict *verdict)
{
	/* What a match that cannot be told does to some packets is the operator's. */
	if (!certain)
		return STEP_NEXT;
	verdict->fate = fate;
	verdict->certain = !walk->maybe;
	return STEP_END;
}

static void set_mark(struct walk *walk, const json_t *mangle, bool certain,
		     struct firewall_verdict *verdict)
{
	const json_t *meta = json_object_get(json_object_get(mangle, "key"), "meta");
	uint32_t mark;

	if (!meta || strcmp(member(meta, "key"), "mark") ||
	    (walk->packet.mark & MARK_MASK) != MARK_STEAL ||
	    !firewall_mark_value(json_object_get(mangle, "value"), walk->packet.mark, &mark))
		return;
	if ((mark & MARK_MASK) == MARK_STEAL)
		return;
	if (certain)
		walk->packet.mark = mark;
	verdict->fate = FATE_UNMARKED;
	verdict->certain = certain && !walk->maybe;
}

static enum step run_statement(struct walk *walk, const json_t *statement, bool certain, int depth,
			       struct firewall_verdict *verdict)
{
	static const struct {
		const char *key;
		enum fate fate;
	} harms[] = {
		{ "drop", FATE_DROPPED },	   { "reject", FATE_DROPPED },
		{ "dnat", FATE_REDIRECTED },	   { "redirect", FATE_REDIRECTED },
		{ "tproxy", FATE_REDIRECTED },	   { "snat", FATE_TRANSLATED },
		{ "masquerade", FATE_TRANSLATED },
	};
	const json_t *jump = json_object_get(statement, "jump");
	const json_t *go = json_object_get(statement, "goto");
	const json_t *mangle = json_object_get(statement, "mangle");
	enum step step;

	for (size_t i = 0; i < sizeof(harms) / sizeof(*harms); i++)
		if (json_object_get(statement, harms[i].key))
			return harm(walk, harms[i].fate, certain, verdict);
	if (json_object_get(statement, "accept") || json_object_get(statement, "queue")) {
		walk->maybe |= !certain;
		return certain ? STEP_ACCEPT : STEP_NEXT;
	}
	if (json_object_get(statement, "return"))
		return certain ? STEP_RETURN : STEP_NEXT;
	if (mangle)
		set_mark(walk, mangle, certain, verdict);
	if (!jump && !go)
		return STEP_NEXT;
	step = run_chain(walk, member(jump ?: go, "target"), depth + 1, verdict);
	if (!certain && step != STEP_NEXT) { /* perhaps it never went there */
		verdict->certain = false;
		walk->maybe |= step == STEP_ACCEPT;
		verdict->fate = step == STEP_END ? FATE_ACCEPTED : verdict->fate;
		return STEP_NEXT;
	}
	return go && step == STEP_NEXT ? STEP_RETURN : step;
}

static enum step run_rule(struct walk *walk, const json_t *rule, int depth,
			  struct firewall_verdict *verdict)
{
	const json_t *expressions = json_object_get(rule, "expr");
	enum match match = firewall_match(expressions, &walk->packet);
	enum step step = STEP_NEXT;
	const json_t *statement;
	size_t i;

	if (match == MATCH_NO)
		return STEP_NEXT;
	json_array_foreach(expressions, i, statement) {
		step = run_statement(walk, statement, match == MATCH_YES, depth, verdict);
		if (step != STEP_NEXT)
			return step;
	}
	return STEP_NEXT;
}

static bool is_in(const struct walk *walk, const json_t *object)
{
	return !strcmp(member(object, "family"), walk->family) &&
	       !strcmp(member(object, "table"), walk->table);
}

static enum step run_chain(struct walk *walk, const char *chain, int depth,
			   struct firewall_verdict *verdict)
{
	const json_t *object, *rule;
	enum step step;
	size_t i;

	if (depth > DEPTH_MAX)
		return STEP_NEXT;
	json_array_foreach(walk->ruleset, i, object) {
		rule = json_object_get(object, "rule");
		if (!rule || !is_in(walk, rule) || strcmp(member(rule, "chain"), chain))
			continue;
		step = run_rule(walk, rule, depth, verdict);
		if (step == STEP_RETURN)
			return STEP_NEXT;
		if (step != STEP_NEXT)
			return step;
	}
	return STEP_NEXT;
}

static void run_base_chain(struct walk *walk, const json_t *chain, struct firewall_verdict *verdict)
{
	walk->family = member(chain, "family");
	walk->table = member(chain, "table");
	walk->maybe = false;
	snprintf(verdict->chain, sizeof(verdict->chain), "%s %s %s", walk->family, walk->table,
		 member(chain, "name"));
	if (run_chain(walk, member(chain, "name"), 0, verdict) == STEP_NEXT &&
	    !strcmp(member(chain, "policy"), "drop") && verdict->fate == FATE_ACCEPTED)
		harm(walk, FATE_DROPPED, true, verdict);
}

static bool is_for(const json_t *chain, const struct firewall_packet *packet)
{
	const char *family = member(chain, "family");

	return !strcmp(family, "inet") || !strcmp(family, packet->ipv4 ? "ip" : "ip6");
}

void firewall_run(const json_t *ruleset, const char *hook, const struct firewall_packet *packet,
		  void (*found)(const struct firewall_verdict *verdict, void *context),
		  void *context)
{
	const json_t *object, *chain;
	size_t i;

	json_array_foreach(ruleset, i, object) {
		struct walk walk = { .ruleset = ruleset, .packet = *packet };
		struct firewall_verdict verdict = { .fate = FATE_ACCEPTED, .certain = true };

		chain = json_object_get(object, "chain");
		if (!chain || strcmp(member(chain, "hook"), hook) || !is_for(chain, packet))
			continue;
		run_base_chain(&walk, chain, &verdict);
		if (verdict.fate != FATE_ACCEPTED)
			found(&verdict, context);
	}
}

/* ---- the MSS ---- */

static bool sets_mss(const json_t *rule)
{
	const json_t *expression, *key;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, expression) {
		key = json_object_get(json_object_get(expression, "mangle"), "key");
		if (!strcmp(member(json_object_get(key, "tcp option"), "name"), "maxseg"))
			return true;
	}
	return false;
}

bool firewall_clamps_mss(void)
{
	json_t *ruleset = firewall_ruleset();
	const json_t *object;
	bool found = false;
	size_t i;

	json_array_foreach(ruleset, i, object)
		found |= sets_mss(json_object_get(object, "rule"));
	json_decref(ruleset);
	return found;
}
