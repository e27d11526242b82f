# Asks Humbaba whether somebody may do something. Whatever goes wrong, the answer is no.

require "grpc"
require "humbaba/v1/authorization_service_services_pb"

class Pep
  include Humbaba::V1

  POLICY_STORE = "hitkeep"

  # Seconds that an answer may take. A call without a deadline waits for as long as Humbaba hangs.
  DEADLINE = 1

  OPTIONS = {
    # Else gRPC sends even calls on loopback through the proxy that `http_proxy` names.
    "grpc.enable_http_proxy" => 0,
    # After failures gRPC waits longer and longer, up to two minutes, before it connects again.
    "grpc.initial_reconnect_backoff_ms" => 100,
    "grpc.max_reconnect_backoff_ms" => 1000
    # No keepalive: Humbaba is on this machine. If it ends its connections close, and if it hangs
    # there is the deadline.
  }.freeze

  # Humbaba denied.
  class Denied < StandardError
    attr_reader :action, :why, :decision_id

    def initialize(action, answer)
      super("#{action} is denied")
      @action, @why, @decision_id = action, answer.explanation.summary, answer.decision_id
    end
  end

  # There is no answer.
  class Unavailable < StandardError; end

  # One for the process: a channel carries any number of calls at once. Make it after a fork.
  # The address is `http://host:port` or `unix:/path`.
  def initialize(address)
    unless address.start_with?("http://", "unix:/")
      raise ArgumentError, "HUMBABA=#{address}: must be http://host:port or unix:/path"
    end
    @stub = AuthorizationService::Stub.new(
      address.delete_prefix("http://"),
      :this_channel_is_insecure,
      channel_args: OPTIONS,
      timeout: DEADLINE
    )
  end

  # Returns only if Humbaba allows it.
  def require_allowed(principal, action, resource, roles, context: {}, entities: [])
    answer = @stub.is_authorized(
      IsAuthorizedRequest.new(
        policy_store: POLICY_STORE,
        principal: principal,
        action: EntityUid.new(id: action),
        resource: resource,
        role_assignments: roles,
        context: context,
        entities: entities,
        explain: true
      )
    )
    raise Denied.new(action, answer) unless answer.decision == :DECISION_ALLOW
  rescue GRPC::BadStatus => error
    warn "no answer from Humbaba: #{error.message}"
    raise Unavailable
  end
end
