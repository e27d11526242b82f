# A small analytics backend that asks Humbaba who may do what. README.md says how to run it.

$LOAD_PATH.unshift(File.join(__dir__, "stubs"))

require "json"
require "securerandom"
require "sinatra/base"
require "sqlite3"
require "webrick"
require_relative "pep"

# Sites, goals and members.
class Database
  TABLES = <<~SQL
    CREATE TABLE IF NOT EXISTS sites (id TEXT PRIMARY KEY, name TEXT NOT NULL, creator TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS goals (id TEXT PRIMARY KEY, site TEXT NOT NULL, name TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS members (
        site TEXT NOT NULL, user TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (site, user)
    );
  SQL

  def initialize(path)
    @db = SQLite3::Database.new(path)
    @db.execute_batch(TABLES)
    @lock = Monitor.new
  end

  # One thread at a time has the connection.
  def rows(sql, *values) = @lock.synchronize { @db.execute(sql, values) }

  # Returns how many rows changed.
  def change(sql, *values)
    @lock.synchronize do
      @db.execute(sql, values)
      @db.changes
    end
  end

  def create_site(site, name, owner)
    @lock.synchronize do
      @db.transaction do
        change("INSERT INTO sites VALUES (?, ?, ?)", site, name, owner)
        change("INSERT INTO members VALUES (?, ?, 'owner')", site, owner)
      end
    end
  end

  def role(site, user)
    rows("SELECT role FROM members WHERE site = ? AND user = ?", site, user).flatten.first
  end

  def owners_beside(site, user)
    others = "SELECT count(*) FROM members WHERE site = ? AND role = 'owner' AND user <> ?"
    rows(others, site, user).flatten.first
  end
end

class Backend < Sinatra::Base
  include Humbaba::V1

  ROLES = %w[owner admin editor viewer].freeze
  SITES_OF_A_PLAN = 100
  # Everybody who logs in is a member of the only team.
  TEAM = EntityUid.new(type: "Team", id: "main")

  DB = Database.new(ENV.fetch("DATABASE", ":memory:"))
  PEP = Pep.new(ENV.fetch("HUMBABA", "http://127.0.0.1:8180"))
  # Who is logged in, by token.
  SESSIONS = {}
  # Held from the question to the write where the question counts rows: owners, or sites of a plan.
  COUNTED = Mutex.new

  set :show_exceptions, false

  helpers do
    def sent
      @sent ||= JSON.parse(request.body.read)
    rescue JSON::ParserError
      refuse(400, "the body must be JSON")
    end

    def text(field)
      value = sent[field] if sent.is_a?(Hash)
      return value if value.is_a?(String) && value.length.between?(1, 100)
      refuse(400, "`#{field}` must be a text of 1 to 100 characters")
    end

    def refuse(status, error) = halt(status, { error: error }.to_json)

    def user = @user
    def user_uid(id = user) = EntityUid.new(type: "User", id: id)
    def site_uid(id = params[:site]) = EntityUid.new(type: "Site", id: id)

    # The roles on the site of those on whom the answer depends.
    def assignments(*users)
      users.uniq.filter_map do |id|
        role = DB.role(params[:site], id)
        RoleAssignment.new(principal: user_uid(id), role: role, scope: site_uid) if role
      end
    end

    def require_allowed(...)
      PEP.require_allowed(...)
    rescue Pep::Denied => denied
      answer = { action: denied.action, why: denied.why, decision_id: denied.decision_id }
      halt(403, { error: "forbidden", **answer }.to_json)
    rescue Pep::Unavailable
      refuse(503, "unavailable")
    end

    # Goes on only if the user may do this on the site of the path.
    def requires(action)
      require_allowed(user_uid, action, site_uid, assignments(user))
    end

    # The same for a change of a member, of which the policies know more; without a role: removal.
    def requires_to_change_member(action, role = nil)
      member = params[:member]
      remains = role == "owner" || DB.owners_beside(params[:site], member).positive?
      context = {
        "target" => Value.new(entity: user_uid(member)),
        "owner_remains" => Value.new(boolean: remains)
      }
      context["role"] = Value.new(entity: EntityUid.new(type: "SiteRole", id: role)) if role
      require_allowed(user_uid, action, site_uid, assignments(user, member), context: context)
    end

    # The same for a site that is to be, of which the policies want to know the team.
    def requires_to_create_site(site)
      count = DB.rows("SELECT count(*) FROM sites WHERE creator = ?", user).flatten.first
      team = Value.new(entity: TEAM)
      require_allowed(
        user_uid, "site.create", site_uid(site),
        [RoleAssignment.new(role: "member", scope: TEAM)],
        context: { "within_plan" => Value.new(boolean: count < SITES_OF_A_PLAN) },
        entities: [
          Entity.new(uid: site_uid(site), attributes: { "team" => team }),
          Entity.new(uid: user_uid, attributes: { "active_team" => team }),
          Entity.new(uid: TEAM, attributes: { "archived" => Value.new(boolean: false) })
        ]
      )
    end
  end

  before do
    content_type :json
    next if request.path_info == "/login"
    scheme, token = request.env["HTTP_AUTHORIZATION"].to_s.split(" ", 2)
    @user = SESSIONS[token] if scheme.to_s.casecmp?("bearer")
    refuse(401, "unauthenticated") unless @user
  end

  # A stub: whoever says that they are alice is alice.
  post "/login" do
    token = SecureRandom.urlsafe_base64(32)
    SESSIONS[token] = text("user")
    { token: token }.to_json
  end

  post "/sites" do
    name, site = text("name"), SecureRandom.uuid
    COUNTED.synchronize do
      requires_to_create_site(site)
      DB.create_site(site, name, user)
    end
    [201, { id: site }.to_json]
  end

  get "/sites/:site/goals" do
    requires("site.goals.view")
    goals = DB.rows("SELECT id, name FROM goals WHERE site = ? ORDER BY rowid", params[:site])
    goals.map { |id, name| { id: id, name: name } }.to_json
  end

  post "/sites/:site/goals" do
    requires("site.goals.create")
    name, goal = text("name"), SecureRandom.uuid
    DB.change("INSERT INTO goals VALUES (?, ?, ?)", goal, params[:site], name)
    [201, { id: goal }.to_json]
  end

  put "/sites/:site/goals/:goal" do
    requires("site.goals.edit")
    name, goal = text("name"), params[:goal]
    change = "UPDATE goals SET name = ? WHERE site = ? AND id = ?"
    refuse(404, "not found") if DB.change(change, name, params[:site], goal).zero?
    { id: goal, name: name }.to_json
  end

  put "/sites/:site/members/:member" do
    site, member, role = params[:site], params[:member], text("role")
    refuse(400, "`role` must be one of #{ROLES.join(", ")}") unless ROLES.include?(role)
    COUNTED.synchronize do
      known = DB.role(site, member)
      requires_to_change_member(known ? "site.members.change-role" : "site.members.add", role)
      DB.change("INSERT OR REPLACE INTO members VALUES (?, ?, ?)", site, member, role)
    end
    { user: member, role: role }.to_json
  end

  delete "/sites/:site/members/:member" do
    COUNTED.synchronize do
      requires_to_change_member("site.members.remove")
      removal = "DELETE FROM members WHERE site = ? AND user = ?"
      refuse(404, "not found") if DB.change(removal, params[:site], params[:member]).zero?
    end
    204
  end
end

quiet = { AccessLog: [], Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN) }
port = Integer(ENV.fetch("PORT", "8000"))
Rack::Handler::WEBrick.run(Backend, Host: "127.0.0.1", Port: port, **quiet) do |server|
  puts "listening on http://127.0.0.1:#{server.listeners.first.addr[1]}"
  $stdout.flush
  %w[INT TERM].each { |signal| trap(signal) { server.shutdown } }
end
