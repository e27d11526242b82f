package backend;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.util.List;
import java.util.Map;

/** An HTTP request: who made it, what stands in its path, and how it is answered. */
record Call(HttpExchange exchange, String user, List<String> parts) {
    private static final int MAX_BYTES = 1 << 20;

    /** The request cannot be answered with what it has. */
    static final class Failed extends RuntimeException {
        private static final long serialVersionUID = 1;
        final int status;

        Failed(int status, String message) {
            super(message);
            this.status = status;
        }
    }

    String site() {
        return parts.get(0);
    }

    /** The goal or member. */
    String part() {
        return parts.get(1);
    }

    /** Reads a text of the body. */
    String text(String field) throws IOException {
        JsonElement body;
        try {
            body = JsonParser.parseString(new String(exchange.getRequestBody().readNBytes(MAX_BYTES), UTF_8));
        } catch (JsonParseException error) {
            throw new Failed(400, "the body must be JSON");
        }
        JsonElement value = body instanceof JsonObject object ? object.get(field) : null;
        boolean isText = value instanceof JsonPrimitive primitive && primitive.isString();
        if (!isText || value.getAsString().isEmpty()) {
            throw new Failed(400, "the body must have a text `" + field + "`");
        }
        return value.getAsString();
    }

    void answer(int status, Object body) throws IOException {
        byte[] bytes = new Gson().toJson(body).getBytes(UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, bytes.length);
        exchange.getResponseBody().write(bytes);
    }

    void answer(int status) throws IOException {
        exchange.sendResponseHeaders(status, -1);
    }

    void refuse(int status, String error) throws IOException {
        answer(status, Map.of("error", error));
    }
}
