-- digest: the ended session
local one = row(ARGV[2])
if not one then return {} end
remove(ARGV[2], one[2], one[3])
return { one }
