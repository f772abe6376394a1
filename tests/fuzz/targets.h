/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzzers feed: an input of any bytes must neither crash nor leak nor
 * break what is asserted. Run by libFuzzer (`make fuzz`) and, for a fixed number
 * of random inputs, by the unit tests.
 */
#ifndef SLUICE_FUZZ_TARGETS_H
#define SLUICE_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

/* A line of an agent, as the registrar parses it. */
void fuzz_line(const uint8_t *input, size_t size);

/* A sequence of requests of a registrar that has been taken over, as main gets them. */
void fuzz_request(const uint8_t *input, size_t size);

/* A PROXY header of whoever connects to a trunk that the agent ends. */
void fuzz_proxy(const uint8_t *input, size_t size);

/* Services that fuzz_request() has seen registered: none where there can be no maps. */
extern uint64_t fuzz_requests_granted;

/* One step of fuzz_request()'s input: an operation, then the bytes of a struct
 * registrar_request. */
#define FUZZ_REQUEST_SWEEP 0x01 /* main's sweep comes before it */
#define FUZZ_REQUEST_LATER 0x02 /* a lease passes before it */
#define FUZZ_REQUEST_DEFAULTS 0x04 /* the parameters are the defaults: else hardly one is taken */
#define FUZZ_REQUEST_LOST 0x08 /* the registrar dies before it */

/* The seed of that number for fuzz_request(), counted from 0, in bytes (FUZZ_SEED_MAX);
 * returns its size, 0 after the last. */
#define FUZZ_SEED_MAX 4096
size_t fuzz_request_seed(size_t number, uint8_t *bytes);

#endif
