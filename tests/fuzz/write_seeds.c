/* SPDX-License-Identifier: GPL-2.0 */
/* Writes fuzz_request()'s seeds as files DIRECTORY/1, DIRECTORY/2, ... for libFuzzer. */
#include <stdio.h>
#include <stdlib.h>

#include "targets.h"

int main(int argc, char **argv)
{
	uint8_t bytes[FUZZ_SEED_MAX];
	size_t size;

	if (argc != 2) {
		fprintf(stderr, "Usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	for (size_t i = 0; (size = fuzz_request_seed(i, bytes)) > 0; i++) {
		char path[4096];
		FILE *file;

		snprintf(path, sizeof(path), "%s/%zu", argv[1], i + 1);
		file = fopen(path, "w");
		if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) {
			perror(path);
			return EXIT_FAILURE;
		}
	}
	return EXIT_SUCCESS;
}
