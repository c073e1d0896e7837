# The moments just before and after the end of a transaction.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('transaction_moments');
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE TABLE t (a int); INSERT INTO t VALUES (0)');
my $first = $node->safe_psql('postgres', 'BEGIN; INSERT INTO t VALUES (1); SELECT pg_current_xact_id(); COMMIT');
my $slow = $node->background_psql('postgres');
my $long = $slow->query_safe('BEGIN; INSERT INTO t VALUES (2); SELECT pg_current_xact_id()');
my $quick = $node->safe_psql('postgres', 'BEGIN; INSERT INTO t VALUES (3); SELECT pg_current_xact_id(); COMMIT');
my $lost = $node->safe_psql('postgres', 'BEGIN; INSERT INTO t VALUES (4); SELECT pg_current_xact_id(); ROLLBACK');
like((try_sql($node, "SELECT strata.after_xact('$long')"))[1], qr/22023: .*transaction $long has not ended/, 'a transaction that runs has no such moment');
$slow->query_safe('COMMIT');
$slow->quit;
$node->safe_psql('postgres', 'INSERT INTO t VALUES (5)');

my $rows = "'SELECT string_agg(a::text, '','' ORDER BY a) FROM t') AS r(a text)";
for my $case (
	[ $first, '0', '0,1', 'of one that committed' ],
	[ $quick, '0,1', '0,1,3', 'of one that committed while an older one ran' ],
	[ $lost, '0,1,3', '0,1,3', 'of one that was rolled back' ],
	[ $long, '0,1,3', '0,1,2,3', 'of the older one' ])
{
	my ($xid, $before, $after, $what) = @$case;
	is($node->safe_psql('postgres', "SELECT * FROM strata.query_at(strata.before_xact('$xid'), $rows"), $before, "just before the end $what");
	is($node->safe_psql('postgres', "SELECT * FROM strata.query_at(strata.after_xact('$xid'), $rows"), $after, "just after the end $what");
	is($node->safe_psql('postgres', "SELECT strata.before_xact('$xid') < strata.after_xact('$xid')"), 't', "these are two $what");
}
like((try_sql($node, "SELECT strata.after_xact('1000000000')"))[1], qr/22023: .*has not ended/, 'one of the future has none');
like((try_sql($node, "SELECT strata.before_xact('2')"))[1], qr/22023: .*is no ordinary one/, 'a permanent one has none');
like((try_sql($node, "SELECT strata.before_xact('3')"))[1], qr/22023: .*(ended before history begins|too old)/, 'one of before the baseline has none');
log_is_clean($node);
$node->stop;
done_testing();
