# Ended at every named point once more, and at random, history loses nothing and leaks no file.
use strict;
use warnings;

use StrataCrash;
use Test::More;

crash_seed();
crash_cycles('random', rounds => [2], random => 36);
done_testing();
