# strata.rebuild_cost() counts what a page of the past is made of.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('cost', 'strata.compaction' => 'off');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE t (id int PRIMARY KEY, n int);
INSERT INTO t VALUES (1, 0);
CREATE ROLE ordinary LOGIN;
SQL

sub cost
{
	my ($block, $lsn, $columns) = @_;
	my ($out, $error) = try_sql($node, "SELECT $columns FROM strata.rebuild_cost('t', $block, $lsn)");
	return "$out$error";
}

my $one = lsn_in($node);
$node->safe_psql('postgres', 'UPDATE t SET n = n + 1') for 1 .. 5;
my $six = lsn_in($node);

is(cost(0, "'$one'", 'versions, redo_calls'), '1|1', 'a page with one row takes the record that made it');
is(cost(0, "'$six'", 'versions, redo_calls'), '6|6', 'five updates add five versions');
is(cost(0, "'$six'", 'total_us > 0 AND redo_us > 0'), 't', 'both times are measured');
is(cost(0, "'$one'", 'versions'), '1', 'and the past stays as it was');
# The row's hint bits are set before the checkpoint, so that the update brings the image, and not a hint bit that the
# update sets.
$node->safe_psql('postgres', $_) for ('SELECT n FROM t', 'CHECKPOINT', 'UPDATE t SET n = n + 1');
is(cost(0, 'pg_current_wal_insert_lsn()', 'versions < 6 AND redo_calls < versions'), 't', 'nothing before a full-page image counts');

like(cost(1, "'$six'", 'versions'), qr/ERROR:  22023: block 1 of relation "t" did not exist at that LSN/, 'a block beyond the end is an error');
like(cost(-1, "'$six'", 'versions'), qr/ERROR:  22023: block -1/, 'so is a negative one');
like(cost(0, "'0/100'", 'versions'), qr/ERROR:  22023/, 'and an LSN before the horizon');
like(cost(0, "pg_current_wal_insert_lsn() + 100000000", 'versions'), qr/ERROR:  22023/, 'or beyond the end of WAL');
my (undef, $denied) = try_sql($node, "SELECT strata.rebuild_cost('t', 0, '$six')", user => 'ordinary');
like($denied, qr/ERROR:  42501/, 'an ordinary role may not call it');
like(at($node, now_in($node), "SELECT strata.rebuild_cost('t', 0, '$six')"), qr/ERROR:  55000: cannot measure while travelling/, 'nor a travelling session');

log_is_clean($node);
$node->stop;
done_testing();
