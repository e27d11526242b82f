package backend;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The backend's own data. Roles are a table of it like any other. One thread at a time has the connection. */
final class Sites {
    private static final List<String> TABLES = List.of(
            "CREATE TABLE IF NOT EXISTS sites (id TEXT PRIMARY KEY, name TEXT NOT NULL)",
            "CREATE TABLE IF NOT EXISTS goals (id TEXT PRIMARY KEY, site TEXT NOT NULL, name TEXT NOT NULL)",
            "CREATE TABLE IF NOT EXISTS members ("
                    + "site TEXT NOT NULL, user TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (site, user))");

    record Goal(String id, String name) {}

    private final Connection connection;

    Sites(String path) throws SQLException {
        connection = DriverManager.getConnection("jdbc:sqlite:" + path);
        for (String table : TABLES) {
            change(table);
        }
    }

    synchronized void create(String site, String name, String owner) throws SQLException {
        connection.setAutoCommit(false);
        try {
            change("INSERT INTO sites VALUES (?, ?)", site, name);
            setRole(site, owner, "owner");
            connection.commit();
        } catch (SQLException error) {
            connection.rollback();
            throw error;
        } finally {
            connection.setAutoCommit(true);
        }
    }

    int count() throws SQLException {
        return Integer.parseInt(rows("SELECT count(*) FROM sites").get(0).get(0));
    }

    List<Goal> goals(String site) throws SQLException {
        List<List<String>> rows = rows("SELECT id, name FROM goals WHERE site = ?", site);
        return rows.stream().map(row -> new Goal(row.get(0), row.get(1))).toList();
    }

    void createGoal(String id, String site, String name) throws SQLException {
        change("INSERT INTO goals VALUES (?, ?, ?)", id, site, name);
    }

    /** Returns false where the site has no such goal. */
    boolean renameGoal(String site, String goal, String name) throws SQLException {
        return change("UPDATE goals SET name = ? WHERE id = ? AND site = ?", name, goal, site) > 0;
    }

    Optional<String> role(String site, String user) throws SQLException {
        List<List<String>> rows = rows("SELECT role FROM members WHERE site = ? AND user = ?", site, user);
        return rows.stream().map(row -> row.get(0)).findFirst();
    }

    boolean hasOwnerBeside(String site, String user) throws SQLException {
        String others = "SELECT user FROM members WHERE site = ? AND user <> ? AND role = 'owner'";
        return !rows(others, site, user).isEmpty();
    }

    void setRole(String site, String user, String role) throws SQLException {
        change("REPLACE INTO members VALUES (?, ?, ?)", site, user, role);
    }

    /** Returns false where the user is no member. */
    boolean remove(String site, String user) throws SQLException {
        return change("DELETE FROM members WHERE site = ? AND user = ?", site, user) > 0;
    }

    private synchronized List<List<String>> rows(String sql, String... values) throws SQLException {
        try (PreparedStatement statement = prepare(sql, values);
                ResultSet result = statement.executeQuery()) {
            List<List<String>> rows = new ArrayList<>();
            while (result.next()) {
                List<String> row = new ArrayList<>();
                for (int column = 1; column <= result.getMetaData().getColumnCount(); column++) {
                    row.add(result.getString(column));
                }
                rows.add(row);
            }
            return rows;
        }
    }

    /** Returns how many rows changed. */
    private synchronized int change(String sql, String... values) throws SQLException {
        try (PreparedStatement statement = prepare(sql, values)) {
            return statement.executeUpdate();
        }
    }

    private PreparedStatement prepare(String sql, String... values) throws SQLException {
        PreparedStatement statement = connection.prepareStatement(sql);
        for (int i = 0; i < values.length; i++) {
            statement.setString(i + 1, values[i]);
        }
        return statement;
    }
}
