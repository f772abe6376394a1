# SPDX-License-Identifier: GPL-2.0
# bash completion for sluice, sluiced and sluice-agent. What can come next is the
# programs' own knowledge: `sluice complete` says it, --help lists the daemons' options.

# The words up to the cursor, uncut: COMP_WORDS is cut at every colon and equals sign.
_sluice_words() {
	local line=${COMP_LINE:0:COMP_POINT}

	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	current=${words[-1]}
}

# Readline replaces only what comes after the last place where it cut the word.
_sluice_offer() {
	local cut=

	[[ $COMP_WORDBREAKS == *:* && $current == *:* ]] && cut=${current%:*}:
	[[ $COMP_WORDBREAKS == *=* && $current == *=* ]] && cut=${current%=*}=
	[[ $1 == "$current"* ]] && COMPREPLY+=("${1#"$cut"}")
	[[ $1 == *= ]] && compopt -o nospace
}

_sluice() {
	local candidate current words

	_sluice_words
	while IFS=$'\t' read -r candidate _; do
		if [[ $candidate == :files ]]; then
			compopt -o default
		else
			_sluice_offer "$candidate"
		fi
	done < <("$1" complete -- "${words[@]:1}" 2>/dev/null)
}

_sluice_daemon() {
	local candidate current words

	_sluice_words
	if [[ $current != -* ]]; then
		compopt -o default
		return
	fi
	while read -r candidate; do
		_sluice_offer "$candidate"
	done < <("$1" --help 2>/dev/null | grep -oE '^ +-.*' | grep -oE '(^ +|, )--?[a-zA-Z-]+' |
		grep -oE -- '-.*')
}

complete -F _sluice sluice
complete -F _sluice_daemon sluiced sluice-agent
