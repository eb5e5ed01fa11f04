#!/bin/bash
# Makes and builds a small C project with make -j2, dynamically and statically.
set -eu
mkdir -p /src && cd /src
{
	echo 'int main(void)'
	echo '{'
	for number in 1 2 3 4 5 6; do
		{
			echo '#include <stdio.h>'
			echo "int part$number(void);"
			echo "int part$number(void) { return printf(\"part $number\\n\"); }"
		} >"part$number.c"
		echo "	extern int part$number(void); part$number();"
	done
	echo '	return 0;'
	echo '}'
} >main.c
cat >Makefile <<'END'
program: $(patsubst %.c,%.o,$(wildcard *.c))
	gcc -pthread -o $@ $^
%.o: %.c
	gcc -O2 -Wall -Werror -c $<
END
make -s -j2
./program | tail -n 1
gcc -static -o static main.c part*.c
./static | wc -l
