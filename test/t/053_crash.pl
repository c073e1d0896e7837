# Killed at named points and at random, history loses nothing and leaks no file: the short form of test/crash.
use strict;
use warnings;

use StrataCrash;
use Test::More;

crash_seed();
crash_cycles('crashed',
	random => 2,
	only => qr/^strata-(flush-half-written|flush-completed|flush-taken|manifest-synced|merge-requested|merge-applied|gc-half-written|gc-requested|gc-removed|memtable-switch|baseline-synced)$/);
done_testing();
