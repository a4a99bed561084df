select cast(t."integer ""0]" as varchar(45)) as banyan_0, t."varchar ""1]" as banyan_1, cast(t."numeric ""2]" as varchar(45)) as banyan_2, cast(t."double ""3]" as varchar(40)) as banyan_3, cast(t."date ""4]" as varchar(40)) as banyan_4, cast(t."timestamp ""5]" as varchar(40)) as banyan_5, cast(t."blob ""6]" as varchar(8191)) as banyan_6, cast(t."boolean ""7]" as varchar(45)) as banyan_7 from "ORION"."T PROC" t where (t."integer ""0]" > cast(? as bigint) or t."integer ""0]" = cast(? as bigint) and t."varchar ""1]" > cast(? as varchar(10))) and (t."integer ""0]" < cast(? as bigint) or t."integer ""0]" = cast(? as bigint) and t."varchar ""1]" <= cast(? as varchar(10)))
-- ['5', '5', 'a', '90', '90', 'z']

select cast(t."integer ""0]" as varchar(45)) as banyan_0, t."varchar ""1]" as banyan_1 from "ORION"."T PROC" t where (t."integer ""0]" > cast(? as bigint) or t."integer ""0]" = cast(? as bigint) and t."varchar ""1]" > cast(? as varchar(10))) order by t."integer ""0]", t."varchar ""1]" offset 999 rows fetch next 1 rows only
-- ['5', '5', 'a']

select cast(t."integer ""0]" as varchar(45)) as banyan_0, t."varchar ""1]" as banyan_1, cast(t."numeric ""2]" as varchar(45)) as banyan_2, cast(t."double ""3]" as varchar(40)) as banyan_3, cast(t."date ""4]" as varchar(40)) as banyan_4, cast(t."timestamp ""5]" as varchar(40)) as banyan_5, cast(t."blob ""6]" as varchar(8191)) as banyan_6, cast(t."boolean ""7]" as varchar(45)) as banyan_7 from "ORION"."T PROC" t where (t."integer ""0]" = cast(? as bigint) and t."varchar ""1]" = cast(? as varchar(10))) or (t."integer ""0]" = cast(? as bigint) and t."varchar ""1]" = cast(? as varchar(10)))
-- ['5', 'a', '6', 'b']

select count(*) from "ORION"."T PROC"
-- []
