/* SPDX-License-Identifier: GPL-2.0 */
/* Whether a rule of nftables is for a packet; see firewall.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "firewall.h"

/* The left side of a match, as far as it is known. */
struct value {
	enum { VALUE_UNKNOWN, VALUE_NEVER, VALUE_TEXT, VALUE_NUMBER } kind;
	const char *text;
	uint32_t number;
};

static struct value text_or(const char *text, int otherwise)
{
	return text ? (struct value){ .kind = VALUE_TEXT, .text = text }
		    : (struct value){ .kind = otherwise };
}

static struct value meta_value(const char *key, const struct firewall_packet *packet)
{
	if (!strcmp(key, "iifname") || !strcmp(key, "iif"))
		return text_or(packet->iif, VALUE_NEVER);
	if (!strcmp(key, "oifname") || !strcmp(key, "oif"))
		return text_or(packet->oif, VALUE_NEVER);
	if (!strcmp(key, "mark"))
		return (struct value){ .kind = VALUE_NUMBER, .number = packet->mark };
	if (!strcmp(key, "l4proto"))
		return text_or("tcp", VALUE_UNKNOWN);
	if (!strcmp(key, "nfproto"))
		return text_or(packet->ipv4 ? "ipv4" : "ipv6", VALUE_UNKNOWN);
	if (!strcmp(key, "protocol"))
		return text_or(packet->ipv4 ? "ip" : "ip6", VALUE_UNKNOWN);
	return (struct value){ .kind = VALUE_UNKNOWN };
}

static struct value payload_value(const char *protocol, const char *field,
				  const struct firewall_packet *packet)
{
	bool ip = !strcmp(protocol, "ip"), ip6 = !strcmp(protocol, "ip6");

	if ((ip && !packet->ipv4) || (ip6 && packet->ipv4) || !strcmp(protocol, "udp") ||
	    !strncmp(protocol, "icmp", 4) || !strcmp(protocol, "sctp"))
		return (struct value){ .kind = VALUE_NEVER };
	if ((ip || ip6) && !strcmp(field, "saddr"))
		return text_or(packet->saddr, VALUE_UNKNOWN);
	if ((ip || ip6) && !strcmp(field, "daddr"))
		return text_or(packet->daddr, VALUE_UNKNOWN);
	if ((ip && !strcmp(field, "protocol")) || (ip6 && !strcmp(field, "nexthdr")))
		return text_or("tcp", VALUE_UNKNOWN);
	if ((!strcmp(protocol, "tcp") || !strcmp(protocol, "th")) && !strcmp(field, "dport") &&
	    packet->dport)
		return (struct value){ .kind = VALUE_NUMBER, .number = packet->dport };
	return (struct value){ .kind = VALUE_UNKNOWN };
}

static const char *member(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key)) ?: "";
}

/* Operands of "&", "|" and "^". */
static bool operate(const json_t *value, uint32_t mark, const char *operator, uint32_t * result)
{
	const json_t *operands = json_object_get(value, operator);
	uint32_t left, right;

	if (json_array_size(operands) != 2 ||
	    !firewall_mark_value(json_array_get(operands, 0), mark, &left) ||
	    !firewall_mark_value(json_array_get(operands, 1), mark, &right))
		return false;
	*result = *operator== '&' ? left & right : * operator== '|' ? left | right : left ^ right;
	return true;
}

bool firewall_mark_value(const json_t *value, uint32_t mark, uint32_t *result)
{
	const json_t *meta = json_object_get(value, "meta");
	const json_t *ct = json_object_get(value, "ct");

	if (json_is_integer(value)) {
		*result = (uint32_t)json_integer_value(value);
		return true;
	}
	if (meta && !strcmp(member(meta, "key"), "mark")) {
		*result = mark;
		return true;
	}
	if (ct && !strcmp(member(ct, "key"), "mark")) {
		*result = 0; /* of a connection that nobody has marked */
		return true;
	}
	return operate(value, mark, "&", result) || operate(value, mark, "|", result) ||
	       operate(value, mark, "^", result);
}

static struct value left_value(const json_t *left, const struct firewall_packet *packet)
{
	const json_t *meta = json_object_get(left, "meta");
	const json_t *payload = json_object_get(left, "payload");
	const json_t *ct = json_object_get(left, "ct");
	const json_t *masked = json_object_get(left, "&");
	struct value value = { .kind = VALUE_UNKNOWN };

	if (meta)
		return meta_value(member(meta, "key"), packet);
	if (payload)
		return payload_value(member(payload, "protocol"), member(payload, "field"), packet);
	if (ct && !strcmp(member(ct, "key"), "state"))
		return text_or(packet->ct_state, VALUE_UNKNOWN);
	if (masked && json_object_get(json_array_get(masked, 0), "meta") &&
	    firewall_mark_value(left, packet->mark, &value.number))
		value.kind = VALUE_NUMBER;
	return value;
}

static bool in_prefix(const char *text, const json_t *prefix)
{
	const char *network = member(prefix, "addr");
	int length = (int)json_integer_value(json_object_get(prefix, "len"));
	int family = strchr(network, ':') ? AF_INET6 : AF_INET;
	uint8_t address[16], base[16];

	if (inet_pton(family, text, address) != 1 || inet_pton(family, network, base) != 1)
		return false;
	for (int bit = 0; bit < length; bit++)
		if ((address[bit / 8] ^ base[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

/* A masked mark is printed as a prefix of 32 bits as well. */
static bool in_number_prefix(uint32_t number, const json_t *prefix)
{
	uint32_t network = (uint32_t)json_integer_value(json_object_get(prefix, "addr"));
	json_int_t length = json_integer_value(json_object_get(prefix, "len"));

	return length == 0 || (number ^ network) >> (32 - length) == 0;
}

static enum match is_same(const struct value *left, const char *right)
{
	uint8_t a[16], b[16];
	size_t length = strlen(right);

	if (left->kind != VALUE_TEXT)
		return MATCH_MAYBE;
	if (length && right[length - 1] == '*') /* an interface's name */
		return strncmp(left->text, right, length - 1) ? MATCH_NO : MATCH_YES;
	if (*right == '@') /* a named set */
		return MATCH_MAYBE;
	if (inet_pton(AF_INET6, left->text, a) == 1 && inet_pton(AF_INET6, right, b) == 1)
		return memcmp(a, b, sizeof(a)) ? MATCH_NO : MATCH_YES;
	return strcmp(left->text, right) ? MATCH_NO : MATCH_YES;
}

/* One value, prefix or range, or a set of them. */
static enum match compare(const struct value *left, const json_t *right)
{
	const json_t *set = json_is_array(right) ? right : json_object_get(right, "set");
	const json_t *range = json_object_get(right, "range");
	const json_t *prefix = json_object_get(right, "prefix");
	const json_t *element;
	enum match best = MATCH_NO;
	size_t i;

	if (set) {
		json_array_foreach(set, i, element) {
			enum match found = compare(left, element);

			best = found > best ? found : best;
		}
		return best;
	}
	if (json_is_string(right))
		return is_same(left, json_string_value(right));
	if (left->kind == VALUE_NUMBER && json_is_integer(right))
		return left->number == (uint32_t)json_integer_value(right) ? MATCH_YES : MATCH_NO;
	if (left->kind == VALUE_NUMBER && json_is_integer(json_array_get(range, 0)))
		return left->number >= json_integer_value(json_array_get(range, 0)) &&
				       left->number <= json_integer_value(json_array_get(range, 1))
			       ? MATCH_YES
			       : MATCH_NO;
	if (left->kind == VALUE_NUMBER && json_is_integer(json_object_get(prefix, "addr")))
		return in_number_prefix(left->number, prefix) ? MATCH_YES : MATCH_NO;
	if (left->kind == VALUE_TEXT && prefix)
		return in_prefix(left->text, prefix) ? MATCH_YES : MATCH_NO;
	return MATCH_MAYBE;
}

static enum match match_one(const json_t *match, const struct firewall_packet *packet)
{
	struct value left = left_value(json_object_get(match, "left"), packet);
	const json_t *right = json_object_get(match, "right");
	const char *operator= member(match, "op");
	enum match result;

	if (left.kind == VALUE_NEVER)
		return strcmp(operator, "!=") ? MATCH_NO : MATCH_YES;
	if (left.kind == VALUE_UNKNOWN)
		return MATCH_MAYBE;
	result = compare(&left, right);
	if (!strcmp(operator, "==") || !strcmp(operator, "in"))
		return result;
	if (!strcmp(operator, "!="))
		return (enum match)(MATCH_YES - result);
	return MATCH_MAYBE;
}

/* Statements that let a packet pass now and then, or that are not translated. */
static bool is_uncertain(const json_t *expression)
{
	static const char *const keys[] = { "limit",	 "quota", "xt",	  "ct count",
					    "connlimit", "set",	  "vmap", "meter" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (json_object_get(expression, keys[i]))
			return true;
	return false;
}

enum match firewall_match(const json_t *expressions, const struct firewall_packet *packet)
{
	enum match worst = MATCH_YES, one;
	const json_t *expression, *match;
	size_t i;

	json_array_foreach(expressions, i, expression) {
		match = json_object_get(expression, "match");
		one = match			 ? match_one(match, packet)
		      : is_uncertain(expression) ? MATCH_MAYBE
						 : MATCH_YES;
		worst = one < worst ? one : worst;
	}
	return worst;
}
