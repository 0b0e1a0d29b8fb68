# ruby-pg (libpq): one line "name=value ..." a login on standard input, one walk and one line of output for each.
require 'pg'

def check(is, want, what)
  raise "#{what}: #{is} instead of #{want}" unless is == want
end

def state_of
  yield
  'no error'
rescue PG::Error => e
  e.result ? e.result.error_field(PG::PG_DIAG_SQLSTATE) : e.message
end

def walk(login)
  table = login.delete('table')
  db = PG.connect(**login.transform_keys(&:to_sym))
  check(db.exec('select 1').getvalue(0, 0), '1', 'simple')
  db.prepare('mine', 'select $1::int + 1, $2::text')
  (1..12).each { |i| check(db.exec_prepared('mine', [i, "ä#{i}"]).values[0], [(i + 1).to_s, "ä#{i}"], 'prepared') }
  db.exec_params("create table if not exists #{table} (i int, t text)")
  db.exec("delete from #{table}")
  begin
    db.transaction { |t| t.exec_params("insert into #{table} values ($1, $2)", [1, 'gone']); raise IndexError }
  rescue IndexError
  end
  db.transaction { |t| t.exec_params("insert into #{table} values ($1, $2)", [2, 'kept']) }
  check(db.exec("select t from #{table}").column_values(0), ['kept'], 'transactions')
  check(state_of { db.exec('select 1/0') }, '22012', 'error')
  check(state_of { db.exec_params('select * from nowhere_at_all where i = $1', [1]) }, '42P01', 'error')
  db.exec('begin')
  check(state_of { db.exec('select 1/0') }, '22012', 'error in a transaction')
  check(state_of { db.exec('select 1') }, '25P02', 'failed transaction')
  db.exec('rollback')
  db.copy_data("copy #{table} from stdin") { (1..1000).each { |i| db.put_copy_data("#{i}\tline #{i}\n") } }
  lines = 0
  db.copy_data("copy (select i from #{table} where i > 2) to stdout") { lines += 1 while db.get_copy_data }
  check(lines, 998, 'copy')
  db.send_query('select pg_sleep(30)')
  sleep 0.1
  db.cancel
  check(state_of { db.get_last_result }, '57014', 'cancel')
  check(db.exec('select 3').getvalue(0, 0), '3', 'after a cancel')
  db.enter_pipeline_mode
  3.times { |i| db.send_query_params('select $1::int', [i]) }
  db.send_query_params('select 1/$1::int', [0])
  db.send_query_params('select 7', [])
  db.pipeline_sync
  3.times { |i| check(db.get_result.getvalue(0, 0), i.to_s, 'pipeline'); db.get_result }
  check(state_of { db.get_result.check }, '22012', 'error in a pipeline')
  db.get_result
  check(db.get_result.result_status, PG::PGRES_PIPELINE_ABORTED, 'what follows an error in a pipeline')
  db.get_result
  check(db.get_result.result_status, PG::PGRES_PIPELINE_SYNC, 'end of the pipeline')
  db.exit_pipeline_mode
  db.send_query("select n from generate_series(1, 20000) n")
  db.set_single_row_mode
  count = 0
  db.get_result.stream_each { count += 1 }
  check(count, 20000, 'rows')
  db.close
end

$stdout.sync = true
$stdin.each_line do |line|
  login = line.split.to_h { |word| word.split('=', 2) }
  user = login['user']
  begin
    walk(login)
    puts "#{user}: done"
  rescue StandardError => e
    puts "#{user}: failed: #{e.message.gsub(/\s+/, ' ')} #{e.backtrace.first}"
  end
end
