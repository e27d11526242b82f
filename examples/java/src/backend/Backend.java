package backend;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.sql.SQLException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/** A small analytics backend: sites, goals and members. Each route says what it requires. */
final class Backend {
    private static final Set<String> ROLES = Set.of("owner", "admin", "editor", "viewer");

    private interface Handler {
        void handle(Call call) throws IOException, SQLException;
    }

    private record Route(String method, Pattern path, Handler handler) {}

    private final Sites sites = new Sites(variable("DATABASE", ":memory:"));
    private final Facts facts = new Facts(sites);
    private final Pep pep = new Pep(variable("HUMBABA", "http://127.0.0.1:8180"));
    /** The users who are logged in, by token. */
    private final Map<String, String> sessions = new ConcurrentHashMap<>();
    /** Held from the question to the write: whether an owner remains must still be true then. */
    private final Object changingMembers = new Object();

    private final List<Route> routes = List.of(
            route("POST", "/sites", this::createSite),
            route("GET", "/sites/{}/goals", requires(Action.SITE_GOALS_VIEW, this::listGoals)),
            route("POST", "/sites/{}/goals", requires(Action.SITE_GOALS_CREATE, this::createGoal)),
            route("PUT", "/sites/{}/goals/{}", requires(Action.SITE_GOALS_EDIT, this::renameGoal)),
            route("PUT", "/sites/{}/members/{}", this::setRole),
            route("DELETE", "/sites/{}/members/{}", this::removeMember));

    private Backend() throws SQLException {}

    private Handler requires(Action action, Handler handler) {
        return call -> {
            pep.require(facts.onSite(action, call.user(), call.site()));
            handler.handle(call);
        };
    }

    /** A stub: it believes everybody. Put your sessions here. */
    private void login(Call call) throws IOException {
        String token = newId();
        sessions.put(token, call.text("user"));
        call.answer(200, Map.of("token", token));
    }

    private void createSite(Call call) throws IOException, SQLException {
        String site = newId();
        pep.require(facts.onNewSite(call.user(), site));
        sites.create(site, call.text("name"), call.user());
        call.answer(201, Map.of("id", site));
    }

    private void listGoals(Call call) throws IOException, SQLException {
        call.answer(200, sites.goals(call.site()));
    }

    private void createGoal(Call call) throws IOException, SQLException {
        String goal = newId();
        sites.createGoal(goal, call.site(), call.text("name"));
        call.answer(201, Map.of("id", goal));
    }

    private void renameGoal(Call call) throws IOException, SQLException {
        String name = call.text("name");
        if (!sites.renameGoal(call.site(), call.part(), name)) {
            throw new Call.Failed(404, "not found");
        }
        call.answer(200, new Sites.Goal(call.part(), name));
    }

    /** Adds who is no member yet and changes the role of others: two actions of the store. */
    private void setRole(Call call) throws IOException, SQLException {
        String member = call.part();
        String role = call.text("role");
        if (!ROLES.contains(role)) {
            throw new Call.Failed(400, "`role` must be owner, admin, editor or viewer");
        }
        synchronized (changingMembers) {
            boolean known = sites.role(call.site(), member).isPresent();
            Action action = known ? Action.SITE_MEMBERS_CHANGE_ROLE : Action.SITE_MEMBERS_ADD;
            pep.require(facts.onMember(action, call.user(), call.site(), member, role));
            sites.setRole(call.site(), member, role);
        }
        call.answer(200, Map.of("user", member, "role", role));
    }

    private void removeMember(Call call) throws IOException, SQLException {
        boolean removed;
        synchronized (changingMembers) {
            Action action = Action.SITE_MEMBERS_REMOVE;
            pep.require(facts.onMember(action, call.user(), call.site(), call.part(), null));
            removed = sites.remove(call.site(), call.part());
        }
        if (!removed) {
            throw new Call.Failed(404, "not found");
        }
        call.answer(204);
    }

    private void serve(HttpExchange exchange) throws IOException {
        Call call = new Call(exchange, user(exchange), List.of());
        try (exchange) {
            find(call);
        } catch (Throwable error) {
            System.err.println(exchange.getRequestMethod() + " " + exchange.getRequestURI() + ": " + error);
            throw error;
        }
    }

    private void find(Call call) throws IOException {
        String method = call.exchange().getRequestMethod();
        String path = call.exchange().getRequestURI().getRawPath();
        if (method.equals("POST") && path.equals("/login")) {
            run(this::login, call);
            return;
        }
        if (call.user() == null) {
            call.refuse(401, "unauthenticated");
            return;
        }
        for (Route route : routes) {
            Matcher matcher = route.path().matcher(path);
            if (route.method().equals(method) && matcher.matches()) {
                List<String> parts = IntStream.rangeClosed(1, matcher.groupCount())
                        .mapToObj(group -> URLDecoder.decode(matcher.group(group).replace("+", "%2B"), UTF_8))
                        .toList();
                run(route.handler(), new Call(call.exchange(), call.user(), parts));
                return;
            }
        }
        call.refuse(404, "not found");
    }

    private static void run(Handler handler, Call call) throws IOException {
        try {
            handler.handle(call);
        } catch (Pep.Denied denied) {
            call.answer(403, Map.of(
                    "error", "forbidden",
                    "action", denied.action,
                    "why", denied.why,
                    "decision_id", denied.decisionId));
        } catch (Pep.Unavailable unavailable) {
            System.err.println(unavailable.getMessage());
            call.refuse(503, "unavailable");
        } catch (Call.Failed failed) {
            call.refuse(failed.status, failed.getMessage());
        } catch (SQLException error) {
            System.err.println(error);
            call.refuse(500, "internal");
        }
    }

    private String user(HttpExchange exchange) {
        String header = exchange.getRequestHeaders().getFirst("Authorization");
        boolean isBearer = header != null && header.startsWith("Bearer ");
        return isBearer ? sessions.get(header.substring("Bearer ".length())) : null;
    }

    private static Route route(String method, String path, Handler handler) {
        String[] names = path.split("\\{\\}", -1);
        return new Route(method, Pattern.compile(String.join("([^/]+)", names)), handler);
    }

    private static String newId() {
        return UUID.randomUUID().toString();
    }

    private static String variable(String name, String otherwise) {
        return System.getenv().getOrDefault(name, otherwise);
    }

    public static void main(String[] arguments) throws IOException, SQLException {
        int port = Integer.parseInt(variable("PORT", "8000"));
        Backend backend = new Backend();
        InetSocketAddress address = new InetSocketAddress(InetAddress.getByName("127.0.0.1"), port);
        HttpServer server = HttpServer.create(address, 0);
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.createContext("/", backend::serve);
        server.start();
        System.out.println("listening on http://127.0.0.1:" + server.getAddress().getPort());
    }
}
