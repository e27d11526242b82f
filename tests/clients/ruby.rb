# Asks over a Unix socket with the grpc gem, as it is and with the default options of a channel.
# Takes and prints what `python.py` does.

require "grpc"

METHOD = "/humbaba.v1.AuthorizationService/IsAuthorized"
CALLS = 200

target, question = ARGV[0], [ARGV[1]].pack("H*")
as_it_is = ->(bytes) { bytes }
stub = GRPC::ClientStub.new(target, :this_channel_is_insecure)

CALLS.times do |number|
  id = "ruby/100%/#{number}"
  metadata = { "x-request-id" => id, "some-bin" => (0..255).to_a.pack("C*"), "authority" => "a%2Fb" }
  8.times { |n| metadata["large-#{n}"] = "%/ " * 300 + "." } if id.end_with?("0")
  answer = stub.request_response(
    METHOD, question, as_it_is, as_it_is, metadata: metadata, deadline: Time.now + 30
  )
  puts "#{id} #{answer.unpack1("H*")}"
end
