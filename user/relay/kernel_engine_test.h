/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The start-up self-test of the kernel engine: a flow over loopback that meets
 * everything in which kernels are known to have failed (docs/design.md). Its
 * outcome, not a version, decides whether flows are given to the kernel.
 */
#ifndef SLUICE_KERNEL_ENGINE_TEST_H
#define SLUICE_KERNEL_ENGINE_TEST_H

#include <stddef.h>

/* Room for any text of kernel_engine_test(). */
#define KERNEL_ENGINE_TEST_TEXT_MAX 160

/*
 * Loads the program and carries a flow with it, in some 20 ms. 0, or a negative
 * errno; text says how it went in either case. With SLUICE_SELF_TEST=fail in
 * the environment it fails: for tests of what comes of that.
 */
int kernel_engine_test(char *text);

#endif
