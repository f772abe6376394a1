/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Addresses as the tables hold them (16 bytes, network byte order, IPv4 as
 * v4-mapped) to and from text and socket addresses.
 */
#ifndef SLUICE_ADDRESS_H
#define SLUICE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Room for "[v6 address]:65535" and its NUL. */
#define ENDPOINT_TEXT_MAX 56

/* Text of one IPv4 or IPv6 address (no port, no zone) into address. 0 or -EINVAL. */
int address_parse(const char *text, uint8_t address[16]);

/* The reverse; IPv4 in dotted form. text holds INET6_ADDRSTRLEN bytes. Returns text. */
const char *address_format(const uint8_t address[16], char *text);

/* True for a v4-mapped address. */
bool address_is_ipv4(const uint8_t address[16]);

/* True for an address that a TCP peer can have: not unspecified, multicast,
 * broadcast or loopback. */
bool address_is_unicast(const uint8_t address[16]);

/* True for an address that only this host can reach: 127.0.0.0/8 and ::1. */
bool address_is_loopback(const uint8_t address[16]);

/* "10.0.0.1:80" or "[2001:db8::1]:80". port is in host byte order, 1..65535. 0 or -EINVAL. */
int endpoint_parse(const char *text, uint8_t address[16], uint16_t *port);

/* The reverse. text holds ENDPOINT_TEXT_MAX bytes. Returns text. */
const char *endpoint_format(const uint8_t address[16], uint16_t port, char *text);

/* A socket address of the address's own family (AF_INET for v4-mapped), port in
 * host byte order. Returns its length. */
socklen_t endpoint_to_sockaddr(const uint8_t address[16], uint16_t port,
			       struct sockaddr_storage *sa);

/* The reverse, for AF_INET and AF_INET6. 0 or -EAFNOSUPPORT. */
int endpoint_from_sockaddr(const struct sockaddr_storage *sa, uint8_t address[16], uint16_t *port);

#endif
