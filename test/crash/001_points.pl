# Ended at every named point, twice, history loses nothing and leaks no file.
use strict;
use warnings;

use StrataCrash;
use Test::More;

crash_seed();
crash_cycles('points', rounds => [ 0, 1 ]);
done_testing();
