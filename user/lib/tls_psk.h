/* SPDX-License-Identifier: GPL-2.0 */
/* TLS 1.3 with an external pre-shared key and nothing else, for registrar and agent. */
#ifndef SLUICE_TLS_PSK_H
#define SLUICE_TLS_PSK_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "key_file.h"

/* A context without certificates, tickets, session cache and early data, for
 * non-blocking use. NULL when OpenSSL cannot. */
SSL_CTX *tls_psk_context(const SSL_METHOD *method);

/* The key as OpenSSL's callbacks want it; a new one, NULL when it cannot. */
SSL_SESSION *tls_psk_session(SSL *ssl, const uint8_t key[KEY_SIZE]);

#endif
