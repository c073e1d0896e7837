# Read by scripts/relink.sh as a second makefile of PostgreSQL's src/backend, in its build folder: so the seams are
# compiled and the server is linked exactly as PostgreSQL does it.
#
# SEAMS  the folder of seams.c
# OUT    where seams.o and the server go; an object file below OUT/objects takes the place of PostgreSQL's own
include Makefile

server_objects = $(foreach file,$(call expand_subsys,$(OBJS)),$(firstword $(wildcard $(OUT)/objects/$(file)) $(file)))

strata-seams:
	@$(CC) $(CFLAGS) $(CPPFLAGS) -Wextra -Wno-unused-parameter -Wno-sign-compare -Werror \
	  -I$(SEAMS) -c $(SEAMS)/seams.c -o $(OUT)/seams.o

strata-server:
	@$(CC) $(CFLAGS) $(server_objects) $(OUT)/seams.o $(LDFLAGS) $(LIBS) -o $(OUT)/postgres.new
