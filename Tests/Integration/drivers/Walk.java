// JDBC, which has its own implementation of the protocol: one line "name=value ..." a login on standard input, one
// walk and one line of output for each.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class Walk {
    interface Deed { void run() throws Exception; }

    static void check(Object is, Object want, String what) {
        if (!is.equals(want)) throw new IllegalStateException(what + ": " + is + " instead of " + want);
    }

    static String stateOf(Deed deed) throws Exception {
        try {
            deed.run();
            return "no error";
        } catch (SQLException e) {
            return e.getSQLState();
        }
    }

    static int number(Connection db, String query) throws SQLException {
        try (Statement statement = db.createStatement(); ResultSet rows = statement.executeQuery(query)) {
            rows.next();
            return rows.getInt(1);
        }
    }

    static void walk(Properties login) throws Exception {
        String table = (String) login.remove("table");
        String url = "jdbc:postgresql://" + login.remove("host") + ":" + login.remove("port") + "/" + login.remove("dbname");
        try (Connection db = DriverManager.getConnection(url, login)) {
            check(number(db, "select 1"), 1, "simple");
            prepared(db);
            transactions(db, table);
            errors(db);
            copy(db, table);
            cancel(db);
            batches(db, table);
            cursor(db);
        }
    }

    // The driver gives a statement a name when it was run five times.
    static void prepared(Connection db) throws SQLException {
        try (PreparedStatement statement = db.prepareStatement("select ?::int + 1, ?::text")) {
            for (int i = 1; i <= 12; i++) {
                statement.setInt(1, i);
                statement.setString(2, "ä" + i);
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    check(rows.getInt(1), i + 1, "prepared");
                    check(rows.getString(2), "ä" + i, "prepared");
                }
            }
        }
    }

    static void transactions(Connection db, String table) throws SQLException {
        try (Statement statement = db.createStatement()) {
            statement.execute("create table if not exists " + table + " (i int, t text)");
            statement.execute("delete from " + table);
            db.setAutoCommit(false);
            statement.execute("insert into " + table + " values (1, 'gone')");
            db.rollback();
            statement.execute("insert into " + table + " values (2, 'kept')");
            Savepoint point = db.setSavepoint();
            statement.execute("insert into " + table + " values (3, 'gone too')");
            db.rollback(point);
            db.commit();
            db.setAutoCommit(true);
            try (ResultSet rows = statement.executeQuery("select string_agg(t, ',') from " + table)) {
                rows.next();
                check(rows.getString(1), "kept", "transactions");
            }
        }
    }

    static void errors(Connection db) throws Exception {
        check(stateOf(() -> number(db, "select 1/0")), "22012", "error");
        check(stateOf(() -> number(db, "select * from nowhere_at_all")), "42P01", "error");
        db.setAutoCommit(false);
        check(stateOf(() -> number(db, "select 1/0")), "22012", "error in a transaction");
        check(stateOf(() -> number(db, "select 1")), "25P02", "failed transaction");
        db.rollback();
        db.setAutoCommit(true);
        check(number(db, "select 2"), 2, "after a failed transaction");
        try (Statement statement = db.createStatement()) {
            check(statement.execute("select 1; select 2"), true, "several statements");
            check(statement.getMoreResults(), true, "several statements");
        }
    }

    static void copy(Connection db, String table) throws Exception {
        CopyManager copies = db.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder lines = new StringBuilder();
        for (int i = 1; i <= 1000; i++) lines.append(i).append("\tline ").append(i).append('\n');
        check(copies.copyIn("copy " + table + " from stdin", new StringReader(lines.toString())), 1000L, "copy in");
        StringWriter out = new StringWriter();
        check(copies.copyOut("copy (select i from " + table + " where i > 2) to stdout", out), 998L, "copy out");
        check(stateOf(() -> copies.copyIn("copy " + table + " from stdin", new StringReader("x\n"))), "22P02", "bad copy");
        check(number(db, "select 3"), 3, "after a copy that failed");
    }

    static void cancel(Connection db) throws Exception {
        try (Statement statement = db.createStatement()) {
            Thread canceller = new Thread(() -> {
                try {
                    Thread.sleep(200);
                    statement.cancel();
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            });
            canceller.start();
            check(stateOf(() -> statement.execute("select pg_sleep(30)")), "57014", "cancel");
            canceller.join();
        }
        check(number(db, "select 4"), 4, "after a cancel");
    }

    static void batches(Connection db, String table) throws Exception {
        try (PreparedStatement statement = db.prepareStatement("insert into " + table + " values (?, ?)")) {
            for (int i = 0; i < 500; i++) {
                statement.setInt(1, i);
                statement.setString(2, "batch");
                statement.addBatch();
            }
            check(statement.executeBatch().length, 500, "batch");
        }
        check(number(db, "select count(*) from " + table + " where t = 'batch'"), 500, "batch");
        try (PreparedStatement statement = db.prepareStatement("insert into " + table + " values (1 / ?, 'x')")) {
            for (int i = 3; i >= -3; i--) {
                statement.setInt(1, i);
                statement.addBatch();
            }
            check(stateOf(statement::executeBatch), "22012", "error in a batch");
        }
        check(number(db, "select 5"), 5, "after a batch that failed");
    }

    // Rows in portions: a portal that is executed again and again, inside a transaction.
    static void cursor(Connection db) throws Exception {
        db.setAutoCommit(false);
        int count = 0;
        try (Statement statement = db.createStatement()) {
            statement.setFetchSize(100);
            try (ResultSet rows = statement.executeQuery("select n, repeat(md5(n::text), 4) from generate_series(1, 20000) n")) {
                while (rows.next()) count++;
            }
        }
        db.commit();
        db.setAutoCommit(true);
        check(count, 20000, "rows");
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Properties login = new Properties();
            for (String word : line.split(" ")) {
                String[] pair = word.split("=", 2);
                login.setProperty(pair[0], pair[1]);
            }
            String user = login.getProperty("user");
            try {
                walk(login);
                System.out.println(user + ": done");
            } catch (Exception e) {
                Throwable cause = e;
                while (cause.getCause() != null) cause = cause.getCause();
                System.out.println((user + ": failed: " + e + " / " + cause).replaceAll("\\s+", " "));
            }
        }
    }
}
