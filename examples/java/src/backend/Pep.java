package backend;

import static java.util.concurrent.TimeUnit.SECONDS;

import humbaba.v1.AuthorizationServiceGrpc;
import humbaba.v1.AuthorizationServiceGrpc.AuthorizationServiceBlockingStub;
import humbaba.v1.AuthorizationServiceOuterClass.Decision;
import humbaba.v1.AuthorizationServiceOuterClass.IsAuthorizedRequest;
import humbaba.v1.AuthorizationServiceOuterClass.IsAuthorizedResponse;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.unix.DomainSocketAddress;

/** Asks Humbaba whether somebody may do something. Whatever goes wrong, the answer is no. */
final class Pep {
    static final String POLICY_STORE = "hitkeep";
    /** How long an answer may take. A call without a deadline waits for as long as Humbaba hangs. */
    static final long DEADLINE_SECONDS = 1;

    /** Humbaba denied. */
    static final class Denied extends RuntimeException {
        private static final long serialVersionUID = 1;
        final String action;
        final String why;
        final String decisionId;

        Denied(String action, IsAuthorizedResponse answer) {
            super(action + " is denied");
            this.action = action;
            this.why = answer.getExplanation().getSummary();
            this.decisionId = answer.getDecisionId();
        }
    }

    /** There is no answer. */
    static final class Unavailable extends RuntimeException {
        private static final long serialVersionUID = 1;

        Unavailable(StatusRuntimeException cause) {
            super("no answer from Humbaba: " + cause.getStatus(), cause);
        }
    }

    private final ManagedChannel channel;
    private final AuthorizationServiceBlockingStub stub;

    /** Make one for the process: a channel carries any number of calls at once. It connects by itself. */
    Pep(String address) {
        // No keepalive: Humbaba is on this machine. If it ends its connections close, and if it hangs there
        // is the deadline.
        channel = builder(address).usePlaintext().build();
        stub = AuthorizationServiceGrpc.newBlockingStub(channel);
    }

    private static NettyChannelBuilder builder(String address) {
        if (address.startsWith("http://")) {
            return NettyChannelBuilder.forTarget(address.substring("http://".length()));
        }
        if (!address.startsWith("unix:/")) {
            String must = ": must be http://host:port or unix:/path";
            throw new IllegalArgumentException("HUMBABA=" + address + must);
        }
        // Says what is missing where netty's native library is not on the class path.
        Epoll.ensureAvailability();
        return NettyChannelBuilder.forAddress(new DomainSocketAddress(address.substring("unix:".length())))
                .channelType(EpollDomainSocketChannel.class)
                .eventLoopGroup(new EpollEventLoopGroup(1))
                .overrideAuthority("localhost");
    }

    /** Returns only if Humbaba allows it. */
    void require(IsAuthorizedRequest.Builder question) {
        IsAuthorizedRequest asked = question.setPolicyStore(POLICY_STORE).setExplain(true).build();
        IsAuthorizedResponse answer;
        try {
            answer = stub.withDeadlineAfter(DEADLINE_SECONDS, SECONDS).isAuthorized(asked);
        } catch (StatusRuntimeException error) {
            // After failures gRPC waits longer and longer, up to two minutes, before it connects again.
            // Nothing but this makes it try at once.
            channel.resetConnectBackoff();
            throw new Unavailable(error);
        }
        if (answer.getDecision() != Decision.DECISION_ALLOW) {
            throw new Denied(asked.getAction().getId(), answer);
        }
    }
}
