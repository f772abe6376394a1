/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What fuzz_request() begins with: whole conversations of registrars that behave,
 * and of some that do not, under its two policies. Made from the structs, as
 * files of bytes would be wrong as soon as a field is added.
 */
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "params.h"
#include "registration.h"
#include "targets.h"

#define STEPS_MAX 10

_Static_assert(STEPS_MAX *(1 + sizeof(struct registrar_request)) <= FUZZ_SEED_MAX, "a seed fits");

struct seed_step {
	uint8_t operation; /* FUZZ_REQUEST_* */
	uint8_t type; /* enum registrar_message_type; 0, which none is of use as: the end */
	uint8_t identity; /* 0: "one", 1: "two" */
	uint8_t connection;
	const char *address; /* NULL: none */
	uint16_t port;
	bool nexthop;
	uint32_t measured_us; /* round trip */
	uint64_t rate; /* bytes a second */
};

#define OPENED(...)                                   \
	{                                             \
		.type = REGISTRAR_OPENED, __VA_ARGS__ \
	}
#define REGISTER(...)                                   \
	{                                               \
		.type = REGISTRAR_REGISTER, __VA_ARGS__ \
	}
#define WITHDRAW(...)                                   \
	{                                               \
		.type = REGISTRAR_WITHDRAW, __VA_ARGS__ \
	}
#define RENEW(...)                                   \
	{                                            \
		.type = REGISTRAR_RENEW, __VA_ARGS__ \
	}
#define CLOSED(...)                                   \
	{                                             \
		.type = REGISTRAR_CLOSED, __VA_ARGS__ \
	}
#define AT(text, number) .address = (text), .port = (number)
#define BY(who, where) .identity = (who), .connection = (where)
#define LATER .operation = FUZZ_REQUEST_SWEEP | FUZZ_REQUEST_LATER

static const struct seed_step seeds[][STEPS_MAX] = {
	/* An agent's life. */
	{ OPENED(BY(0, 1)), REGISTER(BY(0, 1), AT("203.0.113.7", 80)), RENEW(BY(0, 1)),
	  WITHDRAW(BY(0, 1), AT("203.0.113.7", 80)), CLOSED(BY(0, 1)) },
	/* Two claim one address: the second has it when the first has been silent. */
	{ REGISTER(BY(0, 1), AT("203.0.113.9", 80)), REGISTER(BY(1, 2), AT("203.0.113.9", 80)),
	  CLOSED(BY(0, 1)), RENEW(BY(1, 2), LATER), REGISTER(BY(1, 2), AT("203.0.113.9", 80)) },
	/* As many flows as the policy allows, and one service more. */
	{ REGISTER(BY(1, 1), AT("203.0.113.8", 80)), REGISTER(BY(1, 1), AT("203.0.113.9", 80)),
	  REGISTER(BY(1, 1), AT("203.0.113.10", 80)), REGISTER(BY(1, 1), AT("203.0.113.11", 80)),
	  REGISTER(BY(1, 1), AT("203.0.113.12", 80)), REGISTER(BY(1, 1), AT("203.0.113.13", 80)),
	  REGISTER(BY(1, 1), AT("203.0.113.14", 80), .operation = FUZZ_REQUEST_SWEEP) },
	/* The registrar dies; its agent is back within the lease. */
	{ REGISTER(BY(0, 1), AT("203.0.113.7", 5000)),
	  OPENED(BY(0, 2), .operation = FUZZ_REQUEST_LOST),
	  REGISTER(BY(0, 2), AT("203.0.113.7", 5000)), RENEW(BY(0, 2)) },
	/* A router; a rate, and a round trip that changes. */
	{ REGISTER(BY(0, 1), AT("2001:db8::1", 5999), .nexthop = true, .rate = 12500000,
		   .measured_us = 80000),
	  REGISTER(BY(0, 1), AT("2001:db8::1", 5999), .nexthop = true, .rate = 12500000,
		   .measured_us = 160000),
	  REGISTER(BY(0, 1), AT("2001:db8::1", 5999), .rate = 12500000) },
	/* What the policies do not give. */
	{ REGISTER(BY(0, 1), AT("203.0.113.16", 80)), REGISTER(BY(0, 1), AT("203.0.113.7", 81)),
	  REGISTER(BY(1, 2), AT("203.0.113.7", 80)), REGISTER(BY(0, 1), AT("127.0.0.1", 80)),
	  REGISTER(BY(7, 1), AT("203.0.113.7", 80)) },
};

static void make_request(const struct seed_step *step, struct registrar_request *request)
{
	*request = (struct registrar_request){
		.type = step->type,
		.identity = step->identity,
		.connection = step->connection,
		.id = 1,
		.service_port = step->port,
		.trunk_port = step->port,
		.nexthop = step->nexthop,
		.path = { .rtt_us = step->measured_us, .min_rtt_us = step->measured_us },
	};
	if (step->address && address_parse(step->address, request->address) < 0)
		abort();
	params_default(&request->params);
	request->params.rate = step->rate;
}

size_t fuzz_request_seed(size_t number, uint8_t *bytes)
{
	struct registrar_request request;
	size_t size = 0;

	if (number >= sizeof(seeds) / sizeof(seeds[0]))
		return 0;
	for (size_t i = 0; i < STEPS_MAX && seeds[number][i].type != 0; i++) {
		make_request(&seeds[number][i], &request);
		bytes[size++] = seeds[number][i].operation;
		memcpy(bytes + size, &request, sizeof(request));
		size += sizeof(request);
	}
	return size;
}
