/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Gives the fuzzers' targets a fixed number of random inputs, made of good ones:
 * a short look that every run of the tests takes; `make fuzz` looks longer.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../fuzz/targets.h"
#include "address.h"
#include "log.h"
#include "params.h"
#include "registration.h"

#define LINES 200000
#define SEQUENCES 20000
#define STEPS_MAX 12
#define STEP_SIZE (1 + sizeof(struct registrar_request))

static uint32_t state = 2463534242U;

static uint32_t random_below(uint32_t limit)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return (state >> 8) % limit;
}

static const char *const lines[] = {
	"{\"type\":\"hello\",\"version\":1,\"agent\":\"0.1.0\",\"require\":[],\"offer\":[\"x\"]}",
	"{\"type\":\"register\",\"id\":7,\"address\":\"203.0.113.7\",\"service\":443,"
	"\"trunk\":10443,\"nexthop\":false,\"params\":{\"rate\":\"500mbit\",\"rtt\":\"80ms\","
	"\"flow-control\":\"bbr\",\"dscp\":\"ef\"}}",
	"{\"type\":\"register\",\"id\":1,\"address\":\"2001:db8::7\",\"service\":80}",
	"{\"type\":\"withdraw\",\"id\":8,\"address\":\"203.0.113.7\",\"service\":443}",
	"{\"type\":\"renew\",\"id\":9007199254740991}",
	"{\"type\":\"\\u0000\",\"id\":[[[[[[[{}]]]]]]]}",
};

/* Bytes changed, cut out, doubled, or put in from another line. */
static size_t mutate(uint8_t *bytes, size_t size, size_t room)
{
	uint32_t changes = 1 + random_below(4);

	for (uint32_t i = 0; i < changes && size > 0; i++) {
		size_t at = random_below((uint32_t)size), length = 1 + random_below(12);

		if (length > size - at)
			length = size - at;
		switch (random_below(5)) {
		case 0:
			bytes[at] = (uint8_t)random_below(256);
			break;
		case 1:
			bytes[at] = (uint8_t) "{}[]\",:\\0-e"[random_below(11)];
			break;
		case 2:
			memmove(bytes + at, bytes + at + length, size - at - length);
			size -= length;
			break;
		case 3:
			if (size + length <= room) {
				memmove(bytes + at + length, bytes + at, size - at);
				size += length;
			}
			break;
		default:
			size = at;
			break;
		}
	}
	return size;
}

Test(fuzz, lines_of_an_agent)
{
	uint8_t line[1024];

	for (int i = 0; i < LINES; i++) {
		const char *seed = lines[random_below(sizeof(lines) / sizeof(*lines))];
		size_t size = strlen(seed);

		memcpy(line, seed, size);
		if (i >= (int)(sizeof(lines) / sizeof(*lines)))
			size = mutate(line, size, sizeof(line));
		fuzz_line(line, size);
	}
}

/* A request that is often good. */
static void make_step(uint8_t *step)
{
	static const char *const addresses[] = { "203.0.113.7", "203.0.113.9", "203.0.113.16",
						 "2001:db8::7", "127.0.0.1" };
	static const uint16_t ports[] = { 80, 5000, 5999, 6000, 0 };
	struct registrar_request request = {
		.type = random_below(2) ? REGISTRAR_REGISTER : REGISTRAR_READY + random_below(7),
		.identity = random_below(20) / 9,
		.connection = random_below(20) / 6,
		.id = random_below(100),
		.service_port = ports[random_below(5)],
		.trunk_port = ports[random_below(5)],
		.nexthop = (__u8)(random_below(20) / 10),
		.path = { .rtt_us = random_below(100000), .min_rtt_us = random_below(100000) },
	};
	uint8_t *bytes = (uint8_t *)&request;

	cr_assert_eq(address_parse(addresses[random_below(5)], request.address), 0);
	params_default(&request.params);
	if (random_below(4) == 0)
		bytes[random_below(sizeof(request))] ^= (uint8_t)(1U << random_below(8));
	step[0] = (uint8_t)(random_below(16) & random_below(16));
	memcpy(step + 1, &request, sizeof(request));
}

Test(fuzz, requests_of_a_registrar)
{
	uint8_t steps[STEPS_MAX * STEP_SIZE];

	log_open("unit", LOG_LEVEL_ERROR - 1);
	for (int i = 0; i < SEQUENCES; i++) {
		size_t count = 1 + random_below(STEPS_MAX);

		for (size_t j = 0; j < count; j++)
			make_step(steps + j * STEP_SIZE);
		fuzz_request(steps, count * STEP_SIZE);
	}
	if (geteuid() == 0)
		cr_expect_gt(fuzz_requests_granted, SEQUENCES / 4);
}

/* The fuzzer begins with what main grants, and with what it refuses. */
Test(fuzz, seeds_of_requests)
{
	static const unsigned granted[] = { 1, 2, 6, 1, 1, 0 };
	uint8_t bytes[FUZZ_SEED_MAX];

	log_open("unit", LOG_LEVEL_ERROR - 1);
	for (size_t i = 0; i < sizeof(granted) / sizeof(granted[0]); i++) {
		uint64_t before = fuzz_requests_granted;
		size_t size = fuzz_request_seed(i, bytes);

		cr_assert_gt(size, 0);
		fuzz_request(bytes, size);
		if (geteuid() == 0)
			cr_expect_eq(fuzz_requests_granted - before, granted[i], "seed %zu: %lu", i,
				     (unsigned long)(fuzz_requests_granted - before));
	}
	cr_expect_eq(fuzz_request_seed(sizeof(granted) / sizeof(granted[0]), bytes), 0);
}

Test(fuzz, proxy_header)
{
	static const uint8_t good[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"
				      "\x0a\x01\x00\x02\xcb\x00\x71\x09\x9c\x40\x01\xbb"
				      "then the stream, which is not to be read";
	uint8_t bytes[256];

	for (int i = 0; i < LINES; i++) {
		size_t size = sizeof(good);

		memcpy(bytes, good, size);
		size = mutate(bytes, size, sizeof(bytes));
		fuzz_proxy(bytes, size);
	}
}
