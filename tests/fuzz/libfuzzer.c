/* SPDX-License-Identifier: GPL-2.0 */
/* libFuzzer's entry; compiled once for each target, with FUZZ_TARGET its function. */
#include "targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	FUZZ_TARGET(input, size);
	return 0;
}
