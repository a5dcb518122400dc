-- The report's text for a notebook, which knows neither labels nor references: numbers everything as the PDF does and writes
-- the numbers out. A paragraph such as "HW2CELL7" stands for a code cell; in a Div with a label it is that figure or table.

local labelling = dofile(pandoc.path.join({ pandoc.path.directory(PANDOC_SCRIPT_FILE), "..", "qmdpdf", "labels.lua" }))
local words, kind = labelling.words, labelling.kind
local theorems = { thm = true, lem = true, cor = true, prp = true, def = true }

local numbers = {} -- label -> its number
local verified = {} -- labels whose claim holds
local counts, section, subsection, appendix = {}, 0, 0, false

local function next_number(label)
  local prefix = kind(label)
  counts[prefix] = (counts[prefix] or 0) + 1
  local number = tostring(counts[prefix])
  if theorems[prefix] then number = (appendix and string.char(64 + section) or section) .. "." .. number end
  numbers[label] = number
  return number
end

local function header(block)
  if block.classes:includes("unnumbered") then return block end
  if block.level == 1 then
    section, subsection = section + 1, 0
    for prefix in pairs(theorems) do counts[prefix] = 0 end
  elseif block.level == 2 then
    subsection = subsection + 1
  end
  local number = appendix and string.char(64 + section) or tostring(section)
  if block.level == 2 then number = number .. "." .. subsection end
  if block.identifier ~= "" then numbers[block.identifier] = number end
  if block.level <= 2 then
    block.content:insert(1, pandoc.Space())
    block.content:insert(1, pandoc.Str(number))
  end
  return block
end

-- $$ ... $$ {#eq-x}  ->  $$ ... \tag{3} $$
local function equations(block)
  return labelling.equations(block, function(math, label)
    local tag = next_number(label) .. (verified[label] and "\\,✓" or "")
    return { pandoc.Math("DisplayMath", math.text:gsub("%s+$", "") .. " \\tag{" .. tag .. "}\n") }
  end)
end

local function head(block, inlines)
  local out = pandoc.Inlines(inlines)
  out:insert(pandoc.Space())
  out:extend(block.content)
  block.content = out
  return block
end

local function captioned(label, inlines)
  local text = words[kind(label)] .. " " .. next_number(label) .. ":"
  return head(pandoc.Para(inlines), { pandoc.Strong(pandoc.Str(text)) })
end

local visit

local function div(block)
  local prefix, content = kind(block.identifier), block.content
  if prefix == "fig" or prefix == "tbl" then
    content[#content] = captioned(block.identifier, content[#content].content)
  elseif theorems[prefix] then
    local text = words[prefix] .. " " .. next_number(block.identifier) .. (verified[block.identifier] and " ✓" or "")
    local title = { pandoc.Strong(pandoc.Str(text)) }
    if block.attributes.name then
      local name = pandoc.utils.blocks_to_inlines(pandoc.read(block.attributes.name, "markdown").blocks)
      title[#title + 1] = pandoc.Str(" (")
      for _, inline in ipairs(name) do title[#title + 1] = inline end
      title[#title + 1] = pandoc.Str(")")
    end
    title[#title + 1] = pandoc.Str(".")
    content = visit(content)
    if content[1].t == "Para" then head(content[1], title) else content:insert(1, pandoc.Para(title)) end
  elseif block.classes:includes("proof") then
    content = visit(content)
    head(content[1], { pandoc.Emph(pandoc.Str("Proof.")) })
    content:insert(pandoc.Para(pandoc.Str("∎")))
  else
    block.content = visit(content)
    return pandoc.Blocks({ block })
  end
  return content
end

-- Colab shows no equations in lists
local function list(block, marker)
  local has_math = false
  block:walk({ Math = function() has_math = true end })
  if not has_math then return pandoc.Blocks({ block }) end
  local out = pandoc.Blocks({})
  for i, item in ipairs(block.content) do
    for j, part in ipairs(item) do
      local para = pandoc.Para(part.content)
      out:insert(j == 1 and head(para, { pandoc.Str(marker(i)) }) or para)
    end
  end
  return out
end

visit = function(blocks)
  local out = pandoc.Blocks({})
  for _, block in ipairs(blocks) do
    if block.t == "RawBlock" then
      if block.text:match("\\appendix") then appendix, section = true, 0 end
      for label in block.text:gmatch("\\verified{([^}]+)}") do verified[label] = true end
    end
    if block.t == "Header" then out:insert(header(block))
    elseif block.t == "Para" or block.t == "Plain" then out:insert(equations(block))
    elseif block.t == "Div" then out:extend(div(block))
    elseif block.t == "BulletList" then out:extend(list(block, function() return "•" end))
    elseif block.t == "OrderedList" then out:extend(list(block, function(i) return i .. "." end))
    elseif block.t == "Table" and kind(block.identifier) then
      local caption = pandoc.utils.blocks_to_inlines(block.caption.long)
      block.caption.long = pandoc.Blocks({})
      out:insert(block)
      out:insert(captioned(block.identifier, caption))
    elseif block.t ~= "RawBlock" then out:insert(block)
    end
  end
  return out
end

local function references(cite)
  return labelling.references(cite, function(label)
    if not numbers[label] then
      io.stderr:write("no number for @" .. label .. "\n")
      os.exit(3)
    end
    return pandoc.Str(numbers[label])
  end)
end

function Pandoc(doc)
  doc.blocks = visit(doc.blocks)
  local file = io.open(pandoc.utils.stringify(doc.meta.numbers), "w")
  file:write(pandoc.json.encode(numbers))
  file:close()
  return doc:walk({ Cite = references, RawInline = function() return {} end })
end
