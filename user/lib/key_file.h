/* SPDX-License-Identifier: GPL-2.0 */
/* Files with the key of an identity, as `sluice keygen` writes them: 64 hexadecimal digits. */
#ifndef SLUICE_KEY_FILE_H
#define SLUICE_KEY_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of a pre-shared key. */
#define KEY_SIZE 32

/* Room for a key as text: digits, newline and NUL. */
#define KEY_TEXT_MAX (2 * KEY_SIZE + 2)

#define KEY_FILE_ERROR_MAX 256

/*
 * Reads a key. The file must be a regular one, belong to root or to this
 * process's user and be no business of group and others. path is absolute or
 * relative to the directory of beside, the file that names it. 0, or a negative
 * errno with one line in error (KEY_FILE_ERROR_MAX bytes): what is wrong, what to do.
 */
int key_file_read(const char *path, const char *beside, uint8_t key[KEY_SIZE], char *error);

/* The digits and a newline. text holds KEY_TEXT_MAX bytes. Returns text. */
const char *key_format(const uint8_t key[KEY_SIZE], char *text);

#endif
